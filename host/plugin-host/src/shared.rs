//! What outlasts the versions of a plugin's component: its name, its state, its turns, its observers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rehearsal_engine::{Clock, Fault, PluginFault, Tokenizer};
use rehearsal_sync::{BoundedCount, Place};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::engine_view::EngineView;
use crate::fault_log::FaultLog;
use crate::info::{LastCallError, LastReload, PluginInfo, PluginStatus};
use crate::limits::Limits;
use crate::log_budget::LogBudget;
use crate::observer::{PluginEvent, PluginObserver};
use crate::real_time::Instant;
use crate::sandbox::OutputTail;
use crate::state::PluginState;

/// What is around the plugins of one replica.
#[derive(Clone)]
pub struct Surroundings {
    /// Told of every event, in this order.
    pub observers: Vec<Arc<dyn PluginObserver>>,
    /// By which what plugins keep for a time is gone.
    pub clock: Clock,
    /// What plugins may see of the engine.
    pub view: Arc<EngineView>,
}

/// Those of a tool or a trial: real time and an engine that does nothing.
impl Default for Surroundings {
    fn default() -> Self {
        Self { observers: Vec::new(), clock: Clock::real(Duration::ZERO), view: Arc::default() }
    }
}

/// One for each configured plugin, and one for each trial, which is thrown away with all that it left behind.
pub(crate) struct PluginShared {
    pub(crate) name: String,
    pub(crate) tokenizer: Arc<dyn Tokenizer>,
    pub(crate) state: PluginState,
    pub(crate) log_budget: LogBudget,
    /// On trial: what it prints and logs, which shows only if the trial fails.
    said_on_trial: Option<OutputTail>,
    pub(crate) surroundings: Surroundings,
    fault_log: FaultLog,
    last_reload: Mutex<Option<(Instant, LastReload)>>,
    last_call_error: Mutex<Option<(Instant, LastCallError)>>,
    peak_memory: AtomicUsize,
    concurrency: usize,
    max_waiting: usize,
    permits: Arc<Semaphore>,
    waiting: Arc<BoundedCount>,
}

impl PluginShared {
    pub(crate) fn new(
        name: String,
        limits: &Limits,
        tokenizer: Arc<dyn Tokenizer>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            name,
            tokenizer,
            state: PluginState::new(surroundings.clock.clone()),
            log_budget: LogBudget::new(),
            said_on_trial: None,
            surroundings,
            fault_log: FaultLog::default(),
            last_reload: Mutex::default(),
            last_call_error: Mutex::default(),
            peak_memory: AtomicUsize::new(0),
            concurrency: limits.concurrency,
            max_waiting: limits.waiting,
            permits: Arc::new(Semaphore::new(limits.concurrency)),
            waiting: Arc::new(BoundedCount::new(limits.waiting)),
        }
    }

    /// For a trial, after which it is thrown away.
    pub(crate) fn on_trial(name: String, limits: &Limits, tokenizer: Arc<dyn Tokenizer>) -> Self {
        let said_on_trial = Some(OutputTail::default());
        Self { said_on_trial, ..Self::new(name, limits, tokenizer, Surroundings::default()) }
    }

    pub(crate) fn is_on_trial(&self) -> bool {
        self.said_on_trial.is_some()
    }

    /// What it prints and logs goes here; `None` if it is not on trial.
    pub(crate) fn said_on_trial(&self) -> Option<&OutputTail> {
        self.said_on_trial.as_ref()
    }

    /// Waits for its turn; refuses at once if too many wait already.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Fault> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let saturated = Fault::Saturated { running: self.concurrency, waiting: self.max_waiting };
        let Some(_place) = Place::take(&self.waiting) else { return Err(saturated) };
        // The semaphore is never closed; were it, the call would be one too many.
        self.permits.clone().acquire_owned().await.map_err(|_| saturated)
    }

    /// An instance's memory was so many bytes.
    pub(crate) fn used_memory(&self, bytes: usize) {
        self.peak_memory.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(crate) fn status(&self, info: PluginInfo) -> PluginStatus {
        PluginStatus {
            info,
            waiting: self.waiting.taken(),
            peak_memory: self.peak_memory.load(Ordering::Relaxed),
            state: self.state.n_bytes(),
            last_reload: last(&self.last_reload).map(|(at, reload)| LastReload { ago: at.elapsed(), ..reload }),
            last_call_error: last(&self.last_call_error)
                .map(|(at, error)| LastCallError { ago: at.elapsed(), ..error }),
        }
    }

    pub(crate) fn tell(&self, event: PluginEvent<'_>) {
        match event {
            PluginEvent::Reloaded(info) => self.note_reload(Some(info.sha256.clone()), None),
            PluginEvent::NotReloaded(error) => {
                self.note_reload(error.sha256().map(str::to_owned), Some(error.to_string()));
            }
            _ => {}
        }
        for observer in &self.surroundings.observers {
            observer.observe(&self.name, event);
        }
    }

    fn note_reload(&self, sha256: Option<String>, error: Option<String>) {
        note(&self.last_reload, LastReload { ago: Duration::ZERO, sha256, error });
    }

    /// A call of the version of this hash failed.
    pub(crate) fn failed(&self, sha256: &str, fault: &PluginFault) {
        self.fault_log.warn(fault);
        let (code, message) = (fault.fault.kind(), fault.to_string());
        let (sha256, said) = (sha256.to_owned(), fault.said.clone());
        note(&self.last_call_error, LastCallError { ago: Duration::ZERO, sha256, code, message, said });
    }
}

fn note<T>(last: &Mutex<Option<(Instant, T)>>, what: T) {
    *last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), what));
}

fn last<T: Clone>(last: &Mutex<Option<(Instant, T)>>) -> Option<(Instant, T)> {
    last.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
