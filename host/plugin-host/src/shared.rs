//! What outlasts the versions of a plugin's component: its name, its state, its turns, its observers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rehearsal_engine::{Fault, Tokenizer};
use rehearsal_sync::{BoundedCount, Place};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::info::{PluginInfo, PluginStatus};
use crate::limits::Limits;
use crate::log_budget::LogBudget;
use crate::observer::{PluginEvent, PluginObserver};
use crate::state::PluginState;

/// One for each configured plugin, and one for each trial, which is thrown away with all that it left behind.
pub(crate) struct PluginShared {
    pub(crate) name: String,
    pub(crate) tokenizer: Arc<dyn Tokenizer>,
    pub(crate) state: PluginState,
    pub(crate) log_budget: LogBudget,
    observers: Vec<Arc<dyn PluginObserver>>,
    last_error: Mutex<Option<String>>,
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
        observers: Vec<Arc<dyn PluginObserver>>,
    ) -> Self {
        Self {
            name,
            tokenizer,
            state: PluginState::default(),
            log_budget: LogBudget::new(),
            observers,
            last_error: Mutex::default(),
            peak_memory: AtomicUsize::new(0),
            concurrency: limits.concurrency,
            max_waiting: limits.waiting,
            permits: Arc::new(Semaphore::new(limits.concurrency)),
            waiting: Arc::new(BoundedCount::new(limits.waiting)),
        }
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
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    pub(crate) fn tell(&self, event: PluginEvent<'_>) {
        match event {
            PluginEvent::Ended(_, Err(error)) if error.is_fault() => self.note(error.to_string()),
            PluginEvent::NotReloaded(error) => self.note(error.to_string()),
            _ => {}
        }
        for observer in &self.observers {
            observer.observe(&self.name, event);
        }
    }

    fn note(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}
