//! Those who are told what happened. They cannot answer, fail or delay anything: metrics, event publishers, logs.

use std::time::Duration;

use tokio::time::Instant;

use crate::output::FinishReason;
use crate::strategy::{Choice, StrategyError};

/// What happened to one sequence (one choice of a request).
#[derive(Debug, Clone, Copy)]
pub enum EngineEvent<'a> {
    /// It took its place in the waiting queue.
    Queued,
    /// It left the queue and its prefill began.
    Scheduled,
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
}
