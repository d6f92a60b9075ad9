//! `vllm:…`: what routers and autoscalers read of the engine, under vLLM's names.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Gauge, GaugeVec, IntCounter, IntGauge, Opts, Registry};
use rehearsal_engine::{AdapterNames, EngineConfig, EngineObserver, SequenceEvent, StepReport};

/// What is measured of the engine.
pub struct EngineMetrics {
    running: IntGauge,
    waiting: IntGauge,
    kv_cache_usage: Gauge,
    prefix_queries: IntCounter,
    prefix_hits: IntCounter,
    preemptions: IntCounter,
    lora_requests: GaugeVec,
    adapters: Mutex<AdapterNames>,
    reuses_prefixes: bool,
    max_loras: String,
    /// KV-cache events that nobody was told of.
    pub dropped_kv_events: IntCounter,
}

impl EngineMetrics {
    /// Registers the families for the engine of one rank: vLLM's, and in `own` ours.
    pub(super) fn register(
        registry: &Registry,
        own: &Registry,
        config: &EngineConfig,
        model: &str,
        rank: u32,
    ) -> prometheus::Result<Arc<Self>> {
        let opts = |name: &str, help: &str| {
            Opts::new(name, help).const_label("engine", rank.to_string()).const_label("model_name", model)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::with_opts(opts(name, help))?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let counter_in = |registry: &Registry, opts: Opts| {
            let counter = IntCounter::with_opts(opts)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let counter = |opts| counter_in(registry, opts);
        let kv_cache_usage = Gauge::with_opts(opts(
            "vllm:kv_cache_usage_perc",
            "Share of the KV cache's blocks that running requests hold, from 0 to 1.",
        ))?;
        registry.register(Box::new(kv_cache_usage.clone()))?;
        let lora_requests = GaugeVec::new(
            Opts::new("vllm:lora_requests_info", "Adapters of requests that run and that wait, at this Unix time."),
            &["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
        )?;
        registry.register(Box::new(lora_requests.clone()))?;
        register_cache_config(registry, config, rank)?;
        Ok(Arc::new(Self {
            running: gauge("vllm:num_requests_running", "Requests that run.")?,
            waiting: gauge("vllm:num_requests_waiting", "Requests that wait for a place.")?,
            kv_cache_usage,
            prefix_queries: counter(opts(
                "vllm:prefix_cache_queries_total",
                "Prompt tokens that were looked for in the KV cache.",
            ))?,
            prefix_hits: counter(opts("vllm:prefix_cache_hits_total", "Prompt tokens that were found there."))?,
            preemptions: counter(opts(
                "vllm:num_preemptions_total",
                "Times that a running request was preempted because no block was free.",
            ))?,
            lora_requests,
            adapters: Mutex::default(),
            reuses_prefixes: config.reuses_prefixes(),
            max_loras: config.max_loras.to_string(),
            dropped_kv_events: counter_in(
                own,
                Opts::new(
                    "rehearsal_kv_events_dropped_total",
                    "KV-cache events that were dropped because too many waited to be sent.",
                ),
            )?,
        }))
    }

    /// Names the adapters of this moment, which is `unix_time` after 1970.
    pub(super) fn look(&self, unix_time: Duration) {
        // One row: readers take the newest anyway.
        self.lora_requests.reset();
        let AdapterNames { running, waiting } = &*self.adapters.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = [&self.max_loras, &running.join(","), &waiting.join(",")];
        self.lora_requests.with_label_values(&labels).set(unix_time.as_secs_f64());
    }
}

/// Sizes that routers ask for; always the same.
fn register_cache_config(registry: &Registry, config: &EngineConfig, rank: u32) -> prometheus::Result<()> {
    let Some(kv_cache) = &config.kv_cache else { return Ok(()) };
    let info = IntGauge::with_opts(
        Opts::new("vllm:cache_config_info", "Sizes of the KV cache.")
            .const_label("engine", rank.to_string())
            .const_label("block_size", kv_cache.block_size.to_string())
            .const_label("num_gpu_blocks", kv_cache.n_blocks.to_string())
            .const_label("enable_prefix_caching", if kv_cache.reuses_prefixes { "True" } else { "False" }),
    )?;
    info.set(1);
    registry.register(Box::new(info))
}

impl EngineObserver for EngineMetrics {
    fn observe(&self, report: &StepReport) {
        self.running.set(report.counts.running as i64);
        self.waiting.set(report.counts.waiting as i64);
        self.kv_cache_usage.set(report.counts.kv_cache_usage());
        for sequence in &report.sequences {
            match sequence.event {
                SequenceEvent::Scheduled if self.reuses_prefixes => {
                    self.prefix_queries.inc_by(sequence.choice.prompt().n_tokens.into());
                    self.prefix_hits.inc_by(sequence.history.cached_tokens.into());
                }
                SequenceEvent::Preempted => self.preemptions.inc(),
                _ => {}
            }
        }
        if let Some(adapters) = &report.adapters {
            self.adapters.lock().unwrap_or_else(PoisonError::into_inner).clone_from(adapters);
        }
    }
}
