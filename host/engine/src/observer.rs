//! Those who are told what happened. They cannot answer, fail or delay anything: metrics, event publishers, logs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::kv_cache::KvCacheEvent;
use crate::output::FinishReason;
use crate::strategy::{Choice, StrategyError};

/// What happened to one sequence (one choice of a request).
#[derive(Debug, Clone, Copy)]
pub enum EngineEvent<'a> {
    /// It took its place in the waiting queue.
    Queued,
    /// It left the queue for the first time, and its prefill began. So many tokens of its prompt were in the KV cache.
    Scheduled {
        /// 0 where none is simulated.
        cached_tokens: u32,
    },
    /// It had to make way for another and waits again, with all that it has sent. Told when its next token would have
    /// been due.
    Preempted,
    /// Its adapter was brought into memory, for the first time or again.
    AdapterLoaded,
    /// The plugin of this name answered, so much later than the simulated prefill ended; zero if it was in time.
    Answered(&'a str, Duration),
    /// So many tokens fell due together; the first time, that is the end of prefill.
    Tokens(usize),
    /// Terminal: its last token was sent.
    Finished(&'a FinishReason),
    /// Terminal: its strategy gave no output.
    Failed(&'a StrategyError),
    /// Terminal: its client went away, a sibling choice failed, or a failure was played.
    Aborted,
}

/// Told of everything, in order per sequence, from whatever thread it happens on. Must not block.
pub trait EngineObserver: Send + Sync {
    /// `event` happened to `choice` at `at`.
    fn observe(&self, choice: &Choice, event: EngineEvent<'_>, at: Instant);

    /// Blocks of the KV cache changed, in this order. Told while the engine is locked: only hand it on. Nothing is told
    /// if the engine's configuration says that nobody listens.
    fn observe_kv_cache(&self, _events: &Arc<[KvCacheEvent]>) {}
}
