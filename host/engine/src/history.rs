//! What happened to a sequence, as observers and its client are told.

use std::time::Duration;

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

impl SequenceHistory {
    /// Adds another choice's of the same request: the earliest of each moment, but the latest of the last token, and all tokens.
    pub(crate) fn merge(&mut self, other: &Self) {
        let earliest = |one: Option<EngineTime>, other: Option<EngineTime>| one.into_iter().chain(other).min();
        self.scheduled = earliest(self.scheduled, other.scheduled);
        self.first_token = earliest(self.first_token, other.first_token);
        self.last_token = self.last_token.max(other.last_token);
        self.generated_tokens += other.generated_tokens;
        self.cached_tokens = self.cached_tokens.max(other.cached_tokens);
        self.preemptions += other.preemptions;
    }
}

/// How long each part of it took; `None` for what it has not come to.
impl SequenceHistory {
    /// In the waiting queue, until it left it for the first time.
    pub fn queue_time(&self) -> Option<Duration> {
        between(Some(self.arrived), self.scheduled)
    }

    /// From leaving the queue to the first token.
    pub fn prefill_time(&self) -> Option<Duration> {
        between(self.scheduled, self.first_token)
    }

    /// From the first token to the latest.
    pub fn decode_time(&self) -> Option<Duration> {
        between(self.first_token, self.last_token)
    }

    /// From leaving the queue to the latest token.
    pub fn inference_time(&self) -> Option<Duration> {
        between(self.scheduled, self.last_token)
    }

    /// From its arrival to the first token.
    pub fn time_to_first_token(&self) -> Option<Duration> {
        between(Some(self.arrived), self.first_token)
    }

    /// From its arrival to the latest token.
    pub fn e2e_latency(&self) -> Option<Duration> {
        between(Some(self.arrived), self.last_token)
    }
}

fn between(from: Option<EngineTime>, to: Option<EngineTime>) -> Option<Duration> {
    from.zip(to).map(|(from, to)| to.since(from))
}
