//! The simulated vLLM: which sequences wait, which run, when each token falls due.
//!
//! One way through: a [`GenerationRequest`] goes into [`Engine::submit`], takes its place in the [`scheduler`] and its
//! blocks in the [`kv_cache`], is answered by a [`ResponseStrategy`] while its simulated prefill runs, and comes out of
//! an [`OutputStream`] token by token, at the pace that a [`LatencyModel`] sets. Observers are told of every step.
//!
//! Invariants:
//! - Nothing here does I/O or names HTTP, WebAssembly, ZeroMQ or Prometheus; [`clock`] alone reads a clock and sleeps.
//! - `core`, and with it the scheduler, the KV cache and failures that are played, is stepped: not async, without a clock.
//! - Every accepted sequence reports exactly one of [`SequenceEvent::Finished`], [`SequenceEvent::Failed`] and
//!   [`SequenceEvent::Aborted`], and holds its place exactly until then.
//! - Deadlines are absolute, and each is done at its own moment, however late the driver wakes: lateness never adds up.
//! - Randomness comes from seeds ([`seed`]): the same seed and the same requests give the same answers.

pub mod clock;
pub mod config;
pub mod request;
pub mod strategy;
mod strategy_error;

pub mod engine;
mod output_stream;

mod answer;
mod core;
mod driver;
mod mailbox;
mod playback;

pub mod offline;

pub mod kv_cache;
pub mod lora;
pub mod output;
pub mod scheduler;

pub mod failure;
pub mod latency;

mod history;
pub mod observer;
pub mod report;
pub mod seed;
pub mod tokenizer;

pub use self::core::Pause;
pub use clock::{Clock, EngineTime, ManualClock};
pub use config::{EngineConfig, StepConfig};
pub use engine::{Engine, QueueFull};
pub use failure::{Arrival, Failure, FailurePolicy, Moment, Outcome};
pub use history::SequenceHistory;
pub use kv_cache::{HashAlgorithm, KvCacheConfig, KvCacheEvent};
pub use latency::{ConfiguredLatency, LatencyModel, Lockstep, StepCounts, StepTime};
pub use lora::{Adapter, Adapters};
pub use observer::EngineObserver;
pub use output::{
    Completion, CompletionOutput, Content, Delays, DueTokens, FinishReason, GivenLogprob, OutputCall, OutputEvent,
    Piece, StopReason, Timing,
};
pub use output_stream::OutputStream;
pub use report::{
    AdapterNames, Counts, EndedStep, RequestEnd, RequestReport, SequenceEvent, SequenceReport, StepReport,
};
pub use request::{Endpoint, GenerationRequest, Prompt, PromptContent, SamplingParams};
pub use strategy::{
    Choice, EmbeddingRequest, EmbeddingStrategy, Fault, PluginFault, ResponseStrategy, Strategies, StrategyError,
    ToolCallStrategy,
};
pub use tokenizer::{BuiltinTokenizer, Encoded, HuggingFaceTokenizer, Tokenizer};
