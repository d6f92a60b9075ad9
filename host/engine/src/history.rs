//! What happened to a sequence, as observers and its client are told.

use crate::clock::EngineTime;

/// When things happened to a sequence, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SequenceHistory {
    /// It took its place in the queue.
    pub arrived: EngineTime,
    /// It left the queue for the first time.
    pub scheduled: Option<EngineTime>,
    /// Its first token fell due.
    pub first_token: Option<EngineTime>,
    /// The latest token fell due.
    pub last_token: Option<EngineTime>,
    /// Tokens that fell due.
    pub generated_tokens: u32,
    /// Prompt tokens that were found in the KV cache when it was first scheduled; the others were computed.
    pub cached_tokens: u32,
    /// Times that it was preempted.
    pub preemptions: u32,
}
