//! What one step of an engine did: all that metrics, event publishers and logs ever learn.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::EngineTime;
use crate::history::SequenceHistory;
use crate::kv_cache::KvCacheEvent;
use crate::latency::StepCounts;
use crate::output::FinishReason;
use crate::request::RequestNumber;
use crate::strategy::{Choice, StrategyError};

/// Everything that happened at one moment, and how things stand after it.
#[derive(Debug, Default)]
pub struct StepReport {
    /// The moment.
    pub at: EngineTime,
    /// What happened to sequences, in order.
    pub sequences: Vec<SequenceReport>,
    /// Steps that ended, of an engine that steps. Its sequences report the tokens that end their prefill; those that follow
    /// are in these sums.
    pub steps: Vec<EndedStep>,
    /// Requests that ended, each once and after the last of its sequences.
    pub requests: Vec<Arc<RequestReport>>,
    /// Failures that were played on purpose, in order: of which request, and their [kinds](crate::Failure::kind).
    pub injected: Vec<(RequestNumber, &'static str)>,
    /// Blocks that changed, in order; `None` if none did, or if the engine's configuration says that nothing is to be told
    /// of them.
    pub kv_cache: Option<Arc<[KvCacheEvent]>>,
    /// Requests that found no room in the waiting queue.
    pub refused: u32,
    /// After the step.
    pub counts: Counts,
    /// After the step, if it changed them.
    pub adapters: Option<AdapterNames>,
}

impl StepReport {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
            && self.steps.is_empty()
            && self.requests.is_empty()
            && self.injected.is_empty()
            && self.kv_cache.is_none()
            && self.adapters.is_none()
            && self.refused == 0
    }
}

/// A step that ended at the moment of the report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndedStep {
    /// When it began.
    pub start: EngineTime,
    /// What this engine computed in it.
    pub counts: StepCounts,
    /// What all ranks that step together computed.
    pub all_ranks: StepCounts,
    /// Sequences that had a token before and have one more.
    pub decoded: u32,
    /// How long after that one.
    pub gap: Duration,
}

/// How one request ended.
#[derive(Debug)]
pub struct RequestReport {
    /// Its first choice.
    pub choice: Arc<Choice>,
    /// Of all of its choices together: the earliest of each moment, but the latest of the last token, and all tokens.
    pub history: SequenceHistory,
    /// How.
    pub end: RequestEnd,
    /// A failure that was played on purpose ended it.
    pub on_purpose: bool,
}

/// The end of a request.
#[derive(Debug)]
pub enum RequestEnd {
    /// Its client has everything; why the last of its choices ended.
    Completed(FinishReason),
    /// It failed.
    Failed(StrategyError),
    /// Its client went away, or the engine was told to end it.
    Aborted,
}

/// What happened to one sequence (one choice of a request).
#[derive(Debug)]
pub struct SequenceReport {
    /// Which.
    pub choice: Arc<Choice>,
    /// How it came here, this event included.
    pub history: SequenceHistory,
    /// What.
    pub event: SequenceEvent,
}

/// One thing that happened to a sequence.
#[derive(Debug)]
pub enum SequenceEvent {
    /// It took its place in the waiting queue.
    Arrived,
    /// It left the queue for the first time, and its prefill began.
    Scheduled,
    /// Its blocks were taken for another. It waits again, with all that it has generated.
    Preempted,
    /// It left the queue again: what it had is computed anew, as far as it is not cached.
    Resumed,
    /// Its adapter was brought into memory, for the first time or again.
    AdapterLoaded,
    /// Its strategy answered.
    Answered {
        /// The plugin that answered.
        plugin: Arc<str>,
        /// How much later than the simulated prefill ended; zero if it was in time.
        lateness: Duration,
    },
    /// Tokens fell due together.
    Tokens {
        /// How many; 0 only in an empty output.
        n: usize,
        /// After those before them; `None` at the first ones, which end prefill.
        gap: Option<Duration>,
    },
    /// Terminal: its last token was sent, or it was ended with what it had.
    Finished(FinishReason),
    /// Terminal: its strategy gave no output.
    Failed(StrategyError),
    /// Terminal: its client went away, a sibling choice failed, or a failure was played.
    Aborted,
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Sequences that run.
    pub running: usize,
    /// Sequences that wait.
    pub waiting: usize,
    /// Those of them that others may overtake, because too many adapters run.
    pub deferred: usize,
    /// Times that a running sequence was preempted, since the start.
    pub preemptions: u64,
    /// Blocks of the KV cache that running sequences hold, and all blocks; `None` without a KV cache.
    pub kv_cache_blocks: Option<(usize, usize)>,
}

impl Counts {
    /// Share of the KV cache's blocks that running sequences hold, from 0 to 1.
    pub fn kv_cache_usage(&self) -> f64 {
        self.kv_cache_blocks.filter(|(_, all)| *all > 0).map_or(0.0, |(held, all)| held as f64 / all as f64)
    }
}

/// The adapters of sequences, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdapterNames {
    /// Of those that run, in the order of admission.
    pub running: Vec<String>,
    /// Of those that wait, in the order of the queue.
    pub waiting: Vec<String>,
}
