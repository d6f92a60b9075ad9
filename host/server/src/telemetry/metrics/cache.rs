//! The prefix cache: what was looked for, what was found and where, and how large the KV cache is.

use prometheus::{IntCounter, Result};
use rehearsal_engine::{EngineConfig, SequenceEvent, StepReport};

use super::families::Families;
use super::prompt_sources;

pub(super) struct Cache {
    queries: IntCounter,
    hits: IntCounter,
    external_queries: IntCounter,
    external_hits: IntCounter,
    from_device: IntCounter,
    from_elsewhere: IntCounter,
    reuses_prefixes: bool,
}

impl Cache {
    pub(super) fn new(families: &Families<'_>, config: &EngineConfig) -> Result<Self> {
        // Media are counted, not kept.
        for (name, help) in [
            ("vllm:mm_cache_queries_total", "Media that were looked for in the media cache, which is not simulated."),
            ("vllm:mm_cache_hits_total", "Media that were found there."),
        ] {
            families.counter(name, help)?;
        }
        // The tiers between are not simulated.
        let [from_device, _, _, _, from_elsewhere] = families.counters(
            "vllm:prompt_tokens_cached_by_source_total",
            "Prompt tokens that need not be computed, by where their KV cache came from.",
            "source",
            ["device", "host", "p2p", "disk", "external_unspecified"],
        )?;
        families.info(
            "vllm:cache_config_info",
            "Sizes of the KV cache, and how it was set up.",
            config_labels(config),
        )?;
        Ok(Self {
            queries: families
                .counter("vllm:prefix_cache_queries_total", "Prompt tokens that were looked for in the KV cache.")?,
            hits: families.counter("vllm:prefix_cache_hits_total", "Prompt tokens that were found there.")?,
            external_queries: families.counter(
                "vllm:external_prefix_cache_queries_total",
                "Prompt tokens that were asked of another server's KV cache.",
            )?,
            external_hits: families.counter(
                "vllm:external_prefix_cache_hits_total",
                "Prompt tokens that came from another server's KV cache.",
            )?,
            from_device,
            from_elsewhere,
            reuses_prefixes: config.reuses_prefixes(),
        })
    }

    /// Once a request, when it first leaves the queue.
    pub(super) fn observe(&self, report: &StepReport) {
        for sequence in &report.sequences {
            if !matches!(sequence.event, SequenceEvent::Scheduled) {
                continue;
            }
            let sources = prompt_sources(sequence);
            if self.reuses_prefixes {
                self.queries.inc_by(sequence.choice.prompt().n_tokens.into());
                self.hits.inc_by(sources.cached.into());
            }
            self.external_queries.inc_by(sources.external.into());
            self.external_hits.inc_by(sources.external.into());
            self.from_device.inc_by(sources.cached.into());
            self.from_elsewhere.inc_by(sources.external.into());
        }
    }
}

/// vLLM's, as Python prints them. Without a simulated cache, one that never runs full is told of.
fn config_labels(config: &EngineConfig) -> Vec<(&'static str, String)> {
    const USUAL_BLOCK_SIZE: u64 = 16;
    let python = |switch: bool| if switch { "True" } else { "False" }.to_owned();
    let (block_size, n_blocks) = match &config.kv_cache {
        Some(kv_cache) => (u64::from(kv_cache.block_size), u64::from(kv_cache.n_blocks)),
        None => {
            let all = u64::from(config.max_model_len).div_ceil(USUAL_BLOCK_SIZE);
            (USUAL_BLOCK_SIZE, all * u64::from(config.max_num_seqs.get()))
        }
    };
    let n_tokens = n_blocks * block_size;
    let reuses_prefixes = config.kv_cache.as_ref().is_none_or(|kv_cache| kv_cache.reuses_prefixes);
    let algorithm = config.kv_cache.as_ref().map_or("sha256", |kv_cache| kv_cache.algorithm.name());
    let mut labels = vec![
        ("block_size", block_size.to_string()),
        ("num_gpu_blocks", n_blocks.to_string()),
        ("enable_prefix_caching", python(reuses_prefixes)),
        ("prefix_caching_hash_algo", algorithm.to_owned()),
        ("kv_cache_size_tokens", n_tokens.to_string()),
        ("kv_cache_max_concurrency", format!("{:?}", n_tokens as f64 / f64::from(config.max_model_len))),
        ("effective_attention_block_size", block_size.to_string()),
        ("hash_block_size", block_size.to_string()),
        ("cache_hit_alignment_tokens", block_size.to_string()),
    ];
    labels.extend(AS_USUAL.map(|(label, value)| (label, value.to_owned())));
    labels
}

/// Labels of what is not simulated: what vLLM's defaults are.
const AS_USUAL: [(&str, &str); 28] = [
    ("user_specified_block_size", "False"),
    ("kv_cache_layout", "None"),
    ("prefix_match_unit", "None"),
    ("gpu_memory_utilization", "0.92"),
    ("cache_dtype", "auto"),
    ("is_attention_free", "False"),
    ("num_gpu_blocks_override", "None"),
    ("sliding_window", "None"),
    ("prefix_cache_retention_interval", "0"),
    ("kv_cache_dtype_skip_layers", "[]"),
    ("mamba_page_size_padded", "None"),
    ("skip_page_size_padded", "None"),
    ("mamba_block_size", "None"),
    ("mamba_cache_dtype", "auto"),
    ("mamba_ssm_cache_dtype", "auto"),
    ("mamba_cache_mode", "none"),
    ("enable_mamba_shared_prefix_checkpoint", "False"),
    ("replayssm_buffer_len", "16"),
    ("use_replayssm", "False"),
    ("use_kda_recoverssm", "False"),
    ("num_cpu_blocks", "None"),
    ("simple_cpu_offload_num_blocks", "None"),
    ("kv_sharing_fast_prefill", "False"),
    ("swa_bounded_replay", "True"),
    ("kv_cache_memory_bytes", "None"),
    ("kv_offloading_size", "None"),
    ("kv_offloading_backend", "native"),
    ("_block_size_resolved", "True"),
];
