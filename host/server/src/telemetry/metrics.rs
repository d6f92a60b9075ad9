//! What Prometheus scrapes: one registry a server, filled by observers, printed by `GET /metrics`.

mod engine;
mod plugins;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus::{Encoder, Registry, TextEncoder};
use rehearsal_plugin_host::PluginStatus;

use crate::config::Config;

pub use engine::EngineMetrics;
pub use plugins::PluginMetrics;

/// The media type of Prometheus' text format, as its current Python client names it, which vLLM uses.
pub const TEXT_FORMAT: &str = "text/plain; version=1.0.0; charset=utf-8";

/// All families of one server.
pub struct Metrics {
    registry: Registry,
    scrape: Mutex<()>,
    /// `vllm:…`
    pub engine: Arc<EngineMetrics>,
    /// `rehearsal_plugin_…`
    pub plugins: Arc<PluginMetrics>,
}

impl Metrics {
    /// Registers every family.
    pub fn new(config: &Config) -> Result<Self> {
        let registry = Registry::new();
        // Without `disable-log-stats`; with it, vLLM has no family of the engine's.
        let shown = if config.log.requests.stats.is_some() { registry.clone() } else { Registry::new() };
        let engine = EngineMetrics::register(&shown, &registry, &config.engine, config.reported_model(), config.rank)
            .context("a metric cannot be registered")?;
        let plugins = PluginMetrics::register(&registry).context("a metric cannot be registered")?;
        Ok(Self { registry, scrape: Mutex::default(), engine, plugins: Arc::new(plugins) })
    }

    /// The page, with plugins as they are at this moment, which is `unix_time` after 1970.
    pub fn page(&self, unix_time: Duration, plugins: impl Iterator<Item = PluginStatus>) -> Result<Vec<u8>> {
        // One scrape at a time: another would find the rows that this one is about to replace gone.
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.engine.look(unix_time);
        self.plugins.look(plugins);
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut page).context("the metrics cannot be written")?;
        Ok(page)
    }
}
