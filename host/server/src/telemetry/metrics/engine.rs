//! `vllm:…`: what routers, autoscalers and dashboards read of the engine, under vLLM's names. All of it follows from the
//! reports of the engine's steps.

use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{Registry, Result};
use rehearsal_engine::{EngineObserver, StepReport};

use super::cache::Cache;
use super::families::Families;
use super::lora::Lora;
use super::requests::Requests;
use super::state::State;
use super::tokens::Tokens;
use crate::config::Config;

/// What is measured of the engine.
pub struct EngineMetrics {
    registry: Registry,
    state: State,
    tokens: Tokens,
    requests: Requests,
    cache: Cache,
    lora: Lora,
}

impl EngineMetrics {
    /// All families, at zero.
    pub(super) fn new(config: &Config) -> Result<Self> {
        let registry = Registry::new();
        let families = Families::new(&registry, config.rank, config.reported_model());
        Ok(Self {
            state: State::new(&families)?,
            tokens: Tokens::new(&families)?,
            requests: Requests::new(&families, config.engine.max_model_len)?,
            cache: Cache::new(&families, &config.engine)?,
            lora: Lora::new(&registry, &config.engine, config.metrics.lora_lists)?,
            registry,
        })
    }

    /// The families at this moment, which is `unix_time` after 1970, of an engine that sleeps at this level.
    pub(super) fn gather(&self, unix_time: Duration, sleep_level: u8) -> Vec<MetricFamily> {
        self.state.look(sleep_level);
        self.lora.look(unix_time);
        self.registry.gather()
    }
}

impl EngineObserver for EngineMetrics {
    fn observe(&self, report: &StepReport) {
        self.state.observe(report);
        self.tokens.observe(report);
        self.requests.observe(report);
        self.cache.observe(report);
        self.lora.observe(report);
    }
}
