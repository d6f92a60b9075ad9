//! The simulated vLLM: who waits, who runs, when each token falls due.
//!
//! One way through: a [`GenerationRequest`] goes into [`Engine::submit`], takes its place in the [`scheduler`] and its
//! blocks in the [`kv_cache`], is answered by a [`ResponseStrategy`] while its simulated prefill runs, and comes out of
//! an [`OutputStream`] token by token, at the pace that a [`LatencyModel`] sets. Observers are told what happened.
//!
//! Invariants:
//! - Nothing here does I/O or names HTTP, WebAssembly, ZeroMQ or Prometheus; the only clock is `tokio::time`.
//! - `scheduler` and `kv_cache` are stepped: not async, ignorant of time. `pacing` is the only file that sleeps.
//! - Every accepted sequence reports exactly one of [`EngineEvent::Finished`], [`EngineEvent::Failed`] and
//!   [`EngineEvent::Aborted`], and holds its place exactly until then.
//! - Randomness comes from seeds ([`seed`]): the same seed and the same requests give the same answers.

pub mod config;
pub mod engine;
pub mod request;
pub mod strategy;
mod strategy_error;

pub mod kv_cache;
pub mod lora;
pub mod output;
pub mod scheduler;

pub mod failure;
pub mod latency;
mod pacing;

pub mod observer;
pub mod seed;
pub mod tokenizer;

pub use config::EngineConfig;
pub use engine::{Engine, EngineStatus, OutputStream, QueueFull};
pub use failure::{Arrival, Failure, FailurePolicy, Moment, Outcome};
pub use kv_cache::{HashAlgorithm, KvCacheConfig, KvCacheEvent};
pub use latency::{ConfiguredLatency, LatencyModel};
pub use lora::{Adapter, Adapters};
pub use observer::{EngineEvent, EngineObserver};
pub use output::{Completion, CompletionOutput, Content, DueTokens, FinishReason, OutputCall, OutputEvent, Piece};
pub use request::{Endpoint, GenerationRequest, Prompt, PromptContent, SamplingParams};
pub use strategy::{Choice, Fault, PluginFault, ResponseStrategy, Strategies, StrategyError, ToolCallStrategy};
pub use tokenizer::{BuiltinTokenizer, Encoded, HuggingFaceTokenizer, Tokenizer};
