//! What an engine is built with. Already valid: the server's configuration checks ranges before it gets here.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::kv_cache::KvCacheConfig;
use crate::latency::{Lockstep, StepTime};

/// The limits and the seed of one simulated engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Context window: prompt and output together, in tokens.
    pub max_model_len: u32,
    /// Sequences that run at once.
    pub max_num_seqs: NonZeroU32,
    /// Sequences that may wait. A request that finds no room is refused whole. 0: none waits.
    pub max_waiting_queue_length: u32,
    /// The lowest priority is served first; else all are equal.
    pub priorities_count: bool,
    /// Distinct adapters in the running batch.
    pub max_loras: NonZeroU32,
    /// Adapters kept in memory; at least `max_loras`.
    pub max_cpu_loras: NonZeroU32,
    /// The simulated KV cache; none: every prompt is computed, and memory never runs out.
    pub kv_cache: Option<KvCacheConfig>,
    /// The batch goes in steps, as vLLM's does; none: each sequence goes at its own pace.
    pub steps: Option<StepConfig>,
    /// What all randomness of the engine derives from.
    pub seed: u64,
}

/// How an engine steps.
#[derive(Debug, Clone, PartialEq)]
pub struct StepConfig {
    /// How long a step takes.
    pub time: StepTime,
    /// Standard deviation of that, as a share of it.
    pub spread: f64,
    /// From the arrival of a request to its place in the engine's queue: what the API server takes for it.
    pub overhead: Duration,
    /// Tokens that one step computes at most; see [`StepConfig::check_budget`].
    pub max_num_batched_tokens: NonZeroU32,
    /// Tokens of one prompt that one step computes at most; 0: as many as there is room for.
    pub long_prefill_token_threshold: u32,
    /// Prompts may be computed in chunks; else each in one step.
    pub chunked_prefill: bool,
    /// A step is scheduled while the one before it runs.
    pub async_scheduling: bool,
    /// What other data-parallel ranks compute makes a step longer.
    pub lockstep: Option<Lockstep>,
}

impl StepConfig {
    /// vLLM's rule: each sequence that runs may get its token in every step. Fails with what is wrong with
    /// `max_num_batched_tokens`.
    pub fn check_budget(max_num_batched_tokens: NonZeroU32, max_num_seqs: NonZeroU32) -> Result<(), String> {
        if max_num_batched_tokens < max_num_seqs {
            return Err(format!("{max_num_batched_tokens} is less than max-num-seqs ({max_num_seqs})"));
        }
        Ok(())
    }
}

impl EngineConfig {
    /// Whether prompts find the blocks of earlier ones: there is a KV cache, and it keeps them.
    pub fn reuses_prefixes(&self) -> bool {
        self.kv_cache.as_ref().is_some_and(|kv_cache| kv_cache.reuses_prefixes)
    }

    /// The most output tokens after a prompt of `prompt_tokens`: what the window leaves, and what the KV cache has room
    /// for with no other sequence in it; at least 1. The last token needs no place there.
    pub fn most_output_tokens(&self, prompt_tokens: u32) -> u32 {
        let in_memory = self
            .kv_cache
            .as_ref()
            .map_or(u64::MAX, |kv_cache| (kv_cache.n_tokens() + 1).saturating_sub(prompt_tokens.into()));
        let in_window = self.max_model_len.saturating_sub(prompt_tokens);
        u32::try_from(in_memory).unwrap_or(u32::MAX).min(in_window).max(1)
    }
}
