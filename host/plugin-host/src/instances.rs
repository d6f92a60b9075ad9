//! A component that can be instantiated, and its instances that may serve again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::guest::Guest;
use crate::limits::Limits;
use crate::real_time::Instant;
use crate::runtime::Runtime;
use crate::shared::PluginShared;
use crate::stage::StagePolicy;
use crate::v0_1::exports::{Exports, Interfaces};

/// A component that was compiled and linked, and how it is to be run.
pub(crate) struct Prepared {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) interfaces: Interfaces,
    /// JSON text of the configuration.
    pub(crate) config: String,
    pub(crate) limits: Limits,
}

/// The instances of one version of a component that share one state.
pub(crate) struct Instances {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) shared: Arc<PluginShared>,
    pub(crate) stages: StagePolicy,
    /// Those that may serve again.
    idle: Mutex<Vec<Live>>,
    made_at: Instant,
}

/// An instance and its functions.
pub(crate) struct Live {
    pub(crate) store: Store<Guest>,
    pub(crate) exports: Exports,
    /// Calls that it has served.
    pub(crate) served: u32,
}

impl Instances {
    /// None yet.
    pub(crate) fn new(prepared: Arc<Prepared>, shared: Arc<PluginShared>) -> Self {
        Self { prepared, shared, stages: StagePolicy::new(), idle: Mutex::default(), made_at: Instant::now() }
    }

    /// The plugin's configured name.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// An instance that has served before and may again.
    pub(crate) fn take_idle(&self) -> Option<Live> {
        if self.prepared.limits.reuse <= 1 {
            return None;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps an instance for another call, unless it has served its share.
    pub(crate) fn give_back(&self, mut live: Live) {
        live.served += 1;
        if live.served < self.prepared.limits.reuse {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(live);
        }
    }

    pub(crate) fn age(&self) -> Duration {
        self.made_at.elapsed()
    }
}
