//! The engine that a prediction is of: the profile's, and what is said otherwise.

use std::num::NonZeroU32;

use clap::Args;
use rehearsal_engine::{EngineConfig, HashAlgorithm, KvCacheConfig, StepConfig};
use rehearsal_timing::Profile;

/// Limits that are said; those that are not are the profile's.
#[derive(Debug, Clone, Args)]
pub(super) struct EngineArgs {
    /// Sequences that run at once; not given: the profile's, or 256
    #[arg(long, value_name = "N")]
    max_num_seqs: Option<NonZeroU32>,
    /// Tokens of a step; not given: the profile's, or 8192
    #[arg(long, value_name = "N")]
    max_num_batched_tokens: Option<NonZeroU32>,
    /// Blocks of the KV cache; not given: the profile's, or as many as are ever needed
    #[arg(long, value_name = "N")]
    num_gpu_blocks: Option<NonZeroU32>,
    /// Tokens of a block; not given: the profile's, or 16
    #[arg(long, value_name = "N")]
    block_size: Option<NonZeroU32>,
    /// Context window; not given: the profile's, or none
    #[arg(long, value_name = "TOKENS")]
    max_model_len: Option<NonZeroU32>,
    /// Tokens of one prompt that one step computes; 0: as many as there is room for
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    long_prefill_token_threshold: u32,
    /// Requests that may wait; not given: all
    #[arg(long, value_name = "N")]
    max_waiting_queue_length: Option<u32>,
    /// Do not schedule a step while the one before it runs
    #[arg(long)]
    no_async_scheduling: bool,
    /// Every prompt is computed whole
    #[arg(long)]
    no_enable_prefix_caching: bool,
}

/// Blocks that no trace needs.
const PLENTY: u32 = 1 << 20;

impl EngineArgs {
    /// The engine; `knows_prompts`: it is known which prompts begin alike.
    pub(super) fn config(&self, profile: &Profile, knows_prompts: bool, seed: u64) -> Result<EngineConfig, String> {
        const USUAL_SEQS: NonZeroU32 = NonZeroU32::new(256).unwrap();
        const USUAL_BLOCK: NonZeroU32 = NonZeroU32::new(16).unwrap();
        let limits = &profile.engine;
        let usual = profile.steps();
        let max_num_seqs = self.max_num_seqs.or(limits.max_num_seqs).unwrap_or(USUAL_SEQS);
        let max_num_batched_tokens = self.max_num_batched_tokens.unwrap_or(usual.max_num_batched_tokens);
        StepConfig::check_budget(max_num_batched_tokens, max_num_seqs)
            .map_err(|problem| format!("--max-num-batched-tokens: {problem}"))?;
        let n_blocks = self.num_gpu_blocks.or(limits.num_gpu_blocks).map(|blocks| blocks.get() - 1);
        let reuses_prefixes = knows_prompts && !self.no_enable_prefix_caching;
        let kv_cache = (n_blocks.is_some() || reuses_prefixes).then(|| KvCacheConfig {
            n_blocks: n_blocks.unwrap_or(PLENTY),
            block_size: self.block_size.or(limits.block_size).unwrap_or(USUAL_BLOCK).get(),
            algorithm: HashAlgorithm::CborFnv,
            hash_seed: None,
            model: String::new(),
            reuses_prefixes,
            tells_events: false,
        });
        Ok(EngineConfig {
            max_model_len: self.max_model_len.or(limits.max_model_len).map_or(u32::MAX, NonZeroU32::get),
            max_num_seqs,
            max_waiting_queue_length: self.max_waiting_queue_length.unwrap_or(u32::MAX),
            priorities_count: false,
            max_loras: NonZeroU32::MIN,
            max_cpu_loras: NonZeroU32::MIN,
            kv_cache,
            steps: Some(StepConfig {
                max_num_batched_tokens,
                long_prefill_token_threshold: self.long_prefill_token_threshold,
                async_scheduling: usual.async_scheduling && !self.no_async_scheduling,
                ..usual
            }),
            seed,
        })
    }
}
