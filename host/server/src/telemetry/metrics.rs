//! What Prometheus scrapes: families filled by observers, printed by `GET /metrics`.

mod buckets;
mod cache;
mod dialect;
mod engine;
mod families;
pub mod http;
mod lora;
mod plugins;
mod process;
mod requests;
mod state;
mod tokens;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus::{Encoder, IntCounter, Registry, TextEncoder};
use rehearsal_engine::SequenceReport;
use rehearsal_plugin_host::PluginStatus;

use crate::config::{Config, MetricsDialect};

pub use engine::EngineMetrics;
pub use http::HttpMetrics;
pub use plugins::PluginMetrics;
use process::Process;

/// The media type of Prometheus' text format, as its current Python client names it, which vLLM uses.
pub const TEXT_FORMAT: &str = "text/plain; version=1.0.0; charset=utf-8";

/// All families of one server.
pub struct Metrics {
    /// All but the engine's.
    registry: Registry,
    scrape: Mutex<()>,
    /// `vllm:…`
    pub engine: Arc<EngineMetrics>,
    /// With `disable-log-stats`, vLLM has no family of the engine's.
    tells_engine: bool,
    dialect: MetricsDialect,
    /// `rehearsal_plugin_…`
    pub plugins: Arc<PluginMetrics>,
    /// `http_…`
    pub http: Arc<HttpMetrics>,
    process: Process,
    /// KV-cache events that nobody was told of.
    pub dropped_kv_events: IntCounter,
}

impl Metrics {
    /// Registers every family.
    pub fn new(config: &Config) -> Result<Self> {
        Self::register(config).context("a metric cannot be registered")
    }

    fn register(config: &Config) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let dropped_kv_events = IntCounter::new(
            "rehearsal_kv_events_dropped_total",
            "KV-cache events that were dropped because too many waited to be sent.",
        )?;
        registry.register(Box::new(dropped_kv_events.clone()))?;
        Ok(Self {
            scrape: Mutex::default(),
            engine: Arc::new(EngineMetrics::new(config)?),
            tells_engine: config.log.requests.stats.is_some(),
            dialect: config.metrics.dialect,
            plugins: Arc::new(PluginMetrics::register(&registry)?),
            http: HttpMetrics::register(&registry)?,
            process: Process::new(),
            dropped_kv_events,
            registry,
        })
    }

    /// The page, with plugins as they are at this moment, which is `unix_time` after 1970, of an engine that sleeps at this
    /// level.
    pub fn page(
        &self,
        unix_time: Duration,
        sleep_level: u8,
        plugins: impl Iterator<Item = PluginStatus>,
    ) -> Result<Vec<u8>> {
        // One scrape at a time: another would find the rows that this one is about to replace gone.
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.plugins.look(plugins);
        let mut families = self.process.gather();
        if self.tells_engine {
            families.extend(dialect::translate(self.engine.gather(unix_time, sleep_level), self.dialect));
        }
        families.extend(self.registry.gather());
        let mut page = Vec::new();
        TextEncoder::new().encode(&families, &mut page).context("the metrics cannot be written")?;
        Ok(page)
    }
}

/// Where the KV cache of a prompt came from, in tokens.
struct PromptSources {
    /// It was computed.
    computed: u32,
    /// It was there.
    cached: u32,
    /// Another server computed it.
    external: u32,
}

fn prompt_sources(sequence: &SequenceReport) -> PromptSources {
    let (n_tokens, cached) = (sequence.choice.prompt().n_tokens, sequence.history.cached_tokens);
    let others = n_tokens.saturating_sub(cached);
    let is_external = sequence.choice.request.remote_prefill;
    let (computed, external) = if is_external { (0, others) } else { (others, 0) };
    PromptSources { computed, cached, external }
}
