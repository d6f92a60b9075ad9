//! A loaded plugin: its component, ready to instantiate, and what calls of it share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::account::Account;
use crate::bindings::{failure_selector, generator, lifecycle, tool_caller};
use crate::call::Stage;
use crate::imports::Guest;
use crate::info::PluginInfo;
use crate::limits::Limits;
use crate::needs::Needs;
use crate::runtime::{Runtime, TICK};

/// How long calls start further away after one took too long for a stage.
const STAYS_AWAY: Duration = Duration::from_secs(10);

/// How long a call may run on the guests' threads before it goes to the background, where a busy machine may starve it:
/// at least so long, and so many times as long as the longest call that ended well. A guest that spins must get there;
/// one in a slow language must not.
const LEAST_PATIENCE: Duration = Duration::from_millis(5);
const PATIENCE_FACTOR: u32 = 10;

/// A plugin as it serves.
pub(crate) struct Plugin {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) interfaces: Interfaces,
    pub(crate) account: Arc<Account>,
    /// JSON text of the configuration.
    pub(crate) config: String,
    pub(crate) limits: Limits,
    pub(crate) needs: Needs,
    pub(crate) info: PluginInfo,
    /// Instances that may serve again.
    idle: Mutex<Vec<Live>>,
    loaded_at: Instant,
    /// Until when, by age in milliseconds, calls start after the serving threads, and after the guests' threads.
    past_here: AtomicU64,
    past_guests: AtomicU64,
    /// Ticks that the longest call ran which ended well.
    longest: AtomicU64,
}

/// Where to find each interface that the component exports.
pub(crate) struct Interfaces {
    pub(crate) lifecycle: lifecycle::GuestIndices,
    pub(crate) generator: Option<generator::GuestIndices>,
    pub(crate) tool_caller: Option<tool_caller::GuestIndices>,
    pub(crate) failure_selector: Option<failure_selector::GuestIndices>,
}

impl Interfaces {
    /// What the component can be, as the contract names it.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let exported = [
            ("generator", self.generator.is_some()),
            ("tool-caller", self.tool_caller.is_some()),
            ("failure-selector", self.failure_selector.is_some()),
        ];
        exported.into_iter().filter(|(_, is_exported)| *is_exported).map(|(name, _)| name).collect()
    }
}

/// An instance and its functions.
pub(crate) struct Live {
    pub(crate) store: Store<Guest>,
    pub(crate) exports: Exports,
    /// Calls that it has served.
    pub(crate) served: u32,
}

/// What one instance can be asked.
pub(crate) struct Exports {
    pub(crate) lifecycle: lifecycle::Guest,
    pub(crate) generator: Option<generator::Guest>,
    pub(crate) tool_caller: Option<tool_caller::Guest>,
    pub(crate) failure_selector: Option<failure_selector::Guest>,
}

impl Plugin {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        pre: InstancePre<Guest>,
        interfaces: Interfaces,
        account: Arc<Account>,
        config: String,
        limits: Limits,
        info: PluginInfo,
    ) -> Self {
        Self {
            runtime,
            pre,
            interfaces,
            account,
            config,
            limits,
            needs: Needs::default(),
            info,
            idle: Mutex::default(),
            loaded_at: Instant::now(),
            past_here: AtomicU64::new(0),
            past_guests: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.account.name
    }

    pub(crate) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// An instance that has served before and may again.
    pub(crate) fn take_idle(&self) -> Option<Live> {
        if self.limits.reuse <= 1 {
            return None;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps an instance for another call, unless it has served its share.
    pub(crate) fn give_back(&self, mut live: Live) {
        live.served += 1;
        if live.served < self.limits.reuse {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(live);
        }
    }

    /// Where the next call starts: for a while not where one was found to take too long.
    pub(crate) fn first_stage(&self) -> Stage {
        let now = self.age();
        let is_away = |until: &AtomicU64| now < until.load(Ordering::Relaxed);
        if is_away(&self.past_guests) {
            Stage::Background
        } else if is_away(&self.past_here) {
            Stage::Guests
        } else {
            Stage::Here
        }
    }

    /// A call did not end within this stage.
    pub(crate) fn went_past(&self, stage: Stage) {
        let until = self.age() + STAYS_AWAY.as_millis() as u64;
        match stage {
            Stage::Here => self.past_here.store(until, Ordering::Relaxed),
            Stage::Guests => self.past_guests.store(until, Ordering::Relaxed),
            Stage::Background => {}
        }
    }

    /// How long a call may run on the guests' threads.
    pub(crate) fn patience(&self) -> Duration {
        let longest = TICK * u32::try_from(self.longest.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        LEAST_PATIENCE.max(longest.saturating_mul(PATIENCE_FACTOR)).min(self.limits.cpu)
    }

    /// A call ended well, after so many ticks.
    pub(crate) fn ended_well(&self, ticks: u64) {
        self.longest.fetch_max(ticks, Ordering::Relaxed);
    }

    /// Calls need not start in the background any more.
    pub(crate) fn came_back(&self) {
        self.past_guests.store(0, Ordering::Relaxed);
    }

    /// A call went all the way and still took too long: whoever spins again and again stays where it is.
    pub(crate) fn spun(&self) {
        self.went_past(Stage::Here);
        self.went_past(Stage::Guests);
    }

    /// Milliseconds since it was loaded.
    fn age(&self) -> u64 {
        self.loaded_at.elapsed().as_millis() as u64
    }

    /// Serves from now on, on this account; forgets what its trial left behind.
    pub(crate) fn begin(&mut self, account: Arc<Account>) {
        self.account = account;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.past_here.store(0, Ordering::Relaxed);
        self.past_guests.store(0, Ordering::Relaxed);
    }
}
