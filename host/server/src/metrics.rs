//! What Prometheus scrapes: one registry a server, filled by observers, printed by `GET /metrics`.

mod plugins;

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use prometheus::{Encoder, Registry, TextEncoder};
use rehearsal_plugin_host::PluginStatus;

pub use plugins::PluginMetrics;

/// The media type of Prometheus' text format, as its current Python client names it, which vLLM uses.
pub const TEXT_FORMAT: &str = "text/plain; version=1.0.0; charset=utf-8";

/// All families of one server.
pub struct Metrics {
    registry: Registry,
    scrape: Mutex<()>,
    /// `rehearsal_plugin_…`
    pub plugins: Arc<PluginMetrics>,
}

impl Metrics {
    /// Registers every family.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let plugins = PluginMetrics::register(&registry).context("a metric cannot be registered")?;
        Ok(Self { registry, scrape: Mutex::default(), plugins: Arc::new(plugins) })
    }

    /// The page, with the plugins as they are at this moment.
    pub fn page(&self, plugins: impl Iterator<Item = PluginStatus>) -> Result<Vec<u8>> {
        // One scrape at a time: another would find the rows that this one is about to replace gone.
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.plugins.look(plugins);
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut page).context("the metrics cannot be written")?;
        Ok(page)
    }
}
