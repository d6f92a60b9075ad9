//! What plugins may see of the engine around them: how busy it is, and which of several it is.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use rehearsal_engine::{Counts, EngineObserver, StepReport};

/// Told of every step, so that it need not ask.
#[derive(Debug)]
pub struct EngineView {
    /// Among the data-parallel ranks.
    pub rank: u32,
    max_num_seqs: NonZeroU32,
    counts: Mutex<Counts>,
}

impl EngineView {
    /// Of an engine that has nothing to do yet.
    pub fn new(rank: u32, max_num_seqs: NonZeroU32) -> Self {
        Self { rank, max_num_seqs, counts: Mutex::default() }
    }

    /// JSON: `{"running": 3, "waiting": 0, "max_num_seqs": 256, "kv_cache_usage": 0.25}`, as of the last step.
    pub(crate) fn load(&self) -> String {
        let counts = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::json!({
            "running": counts.running,
            "waiting": counts.waiting,
            "max_num_seqs": self.max_num_seqs,
            "kv_cache_usage": counts.kv_cache_usage(),
        })
        .to_string()
    }
}

/// Of an engine by itself, of vLLM's usual size: for trials and tools.
impl Default for EngineView {
    fn default() -> Self {
        Self::new(0, NonZeroU32::new(256).unwrap_or(NonZeroU32::MIN))
    }
}

impl EngineObserver for EngineView {
    fn observe(&self, report: &StepReport) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = report.counts;
    }
}
