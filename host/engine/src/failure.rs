//! Failures on purpose: what fails, and when. A policy decides it once per request; `playback` plays it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::clock::EngineTime;
use crate::request::GenerationRequest;
use crate::strategy_error::{Rejection, StrategyError};

/// Decides which requests fail, how and when.
pub trait FailurePolicy: Send + Sync {
    /// The name that errors give it.
    fn name(&self) -> &str;

    /// What is to happen to one request, in order. Empty: it goes well. Asked once, when the request arrives.
    fn select<'a>(&'a self, arrival: &'a Arrival) -> BoxFuture<'a, Result<Vec<Outcome>, StrategyError>>;
}

/// A request as a policy sees it: before it is split into choices.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The request.
    pub request: Arc<GenerationRequest>,
    /// Suffix of its ids on the wire.
    pub request_id: Arc<str>,
    /// Counts accepted requests from 0.
    pub number: u64,
    /// The policy's only randomness.
    pub seed: u64,
    /// Most output tokens of its first choice.
    pub max_tokens: u32,
    /// When it took its place in the queue.
    pub arrived: EngineTime,
}

/// One thing that is to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What.
    pub failure: Failure,
    /// When. A moment that the request does not reach passes by.
    pub moment: Moment,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// An error answer; after the first byte, an error event.
    Error(Box<Rejection>),
    /// The connection is cut.
    Disconnect,
    /// No token is sent any more, until the client gives up or ten minutes are over.
    Hang,
    /// Nothing is sent for so long; then it goes on as if nothing had been.
    Stall(Duration),
    /// Bytes that are not JSON: one event of a stream, or the whole body.
    Malformed,
}

impl Failure {
    /// In one word, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Error(_) => "error",
            Self::Disconnect => "disconnect",
            Self::Hang => "hang",
            Self::Stall(_) => "stall",
            Self::Malformed => "malformed",
        }
    }

    /// All that [`Self::kind`] returns.
    pub const KINDS: [&str; 5] = ["error", "disconnect", "hang", "stall", "malformed"];
}

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At once.
    OnArrival,
    /// When the first choice leaves the waiting queue.
    OnSchedule,
    /// After so many output tokens of all choices together.
    AfterTokens(u32),
    /// So long after arrival.
    AfterTime(Duration),
    /// After the last token.
    AtEnd,
}

#[cfg(test)]
mod tests;
