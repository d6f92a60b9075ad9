//! What Prometheus scrapes: families filled by observers, printed by `GET /metrics`.

pub(crate) mod buckets;
mod cache;
mod connections;
mod dialect;
mod engine;
mod fake;
mod families;
pub mod http;
mod injected;
mod kv_events;
mod lora;
mod plugins;
mod process;
mod requests;
mod state;
mod tokens;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, IntCounter, IntGaugeVec, Opts, Registry, TextEncoder};
use rehearsal_engine::SequenceReport;
use rehearsal_plugin_host::PluginStatus;
use serde_json::{Map, Value};

use crate::config::{Config, FakeMetrics, MetricsDialect};
use crate::telemetry::logs;

pub use connections::{ConnectionMetrics, OpenStream};
pub use engine::EngineMetrics;
use fake::Fake;
use families::add;
pub use http::HttpMetrics;
pub use injected::InjectedFailures;
pub use kv_events::KvEventMetrics;
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
    /// Families that stay at zero, into which what is made up is put.
    unmeasured: EngineMetrics,
    fake: Mutex<Option<Fake>>,
    /// `rehearsal_plugin_…`
    pub plugins: Arc<PluginMetrics>,
    /// `rehearsal_injected_failures_total`
    pub injected: Arc<InjectedFailures>,
    /// `http_…`
    pub http: Arc<HttpMetrics>,
    process: Process,
    held: IntGaugeVec,
    /// `rehearsal_…`
    pub connections: ConnectionMetrics,
    /// `rehearsal_kv_…`
    pub kv_events: KvEventMetrics,
    /// Captured requests that were not written down.
    pub dropped_captures: IntCounter,
}

/// What a scrape finds beside what is counted all the time.
pub struct Moment {
    /// After the engine's start.
    pub now: Duration,
    /// After 1970.
    pub unix_time: Duration,
    /// At which the engine sleeps; 0: it is awake.
    pub sleep_level: u8,
    /// Bytes that are remembered, by what.
    pub held: [(&'static str, usize); 3],
}

impl Metrics {
    /// Registers every family.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        Self::register(config).context("a metric cannot be registered")
    }

    fn register(config: &Config) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let held = Opts::new("rehearsal_held_bytes", "What is remembered, by what; each has its bound.");
        let held = add(&registry, IntGaugeVec::new(held, &["what"]))?;
        let dropped_captures = IntCounter::new(
            "rehearsal_capture_lines_dropped_total",
            "Requests that could not be written into the file of captured ones.",
        );
        let dropped_captures = add(&registry, dropped_captures)?;
        registry.register(Box::new(logs::DROPPED.clone()))?;
        Ok(Self {
            scrape: Mutex::default(),
            engine: Arc::new(EngineMetrics::new(config)?),
            tells_engine: config.log.requests.stats.is_some(),
            dialect: config.metrics.dialect,
            unmeasured: EngineMetrics::new(config)?,
            fake: Mutex::new(
                config
                    .metrics
                    .fake
                    .clone()
                    .map(|metrics| Fake::new(metrics, config.metrics.fake_interval, Duration::ZERO, None)),
            ),
            plugins: Arc::new(PluginMetrics::register(&registry)?),
            injected: Arc::new(InjectedFailures::register(&registry)?),
            http: HttpMetrics::register(&registry)?,
            process: Process::new(),
            held,
            connections: ConnectionMetrics::register(&registry)?,
            kv_events: KvEventMetrics::register(&registry)?,
            dropped_captures,
            registry,
        })
    }

    /// From `now` on, in engine time after its start, metrics of the engine are made up, or measured again. Numbers that are
    /// made up already go on.
    pub fn make_up(&self, metrics: Option<FakeMetrics>, interval: Duration, now: Duration) {
        let mut fake = self.fake.lock().unwrap_or_else(PoisonError::into_inner);
        *fake = metrics.map(|metrics| Fake::new(metrics, interval, now, fake.as_ref()));
    }

    /// What was given of those that are made up, with `changes`.
    pub fn merged(&self, changes: Map<String, Value>) -> Map<String, Value> {
        match &*self.fake.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(fake) => fake.metrics.merged(changes),
            None => changes,
        }
    }

    /// What is told of the engine, if anything.
    fn of_engine(&self, moment: &Moment) -> Vec<MetricFamily> {
        let Moment { now, unix_time, sleep_level, .. } = *moment;
        match &*self.fake.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(fake) => {
                let mut families = self.unmeasured.gather(unix_time, 0);
                fake.put_into(&mut families, now);
                families
            }
            None if self.tells_engine => self.engine.gather(unix_time, sleep_level),
            None => Vec::new(),
        }
    }

    /// Whether the engine's are made up.
    pub fn are_made_up(&self) -> bool {
        self.fake.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// All families but the process's as they are measured, whatever the page tells.
    pub fn measured(&self, moment: &Moment, plugins: impl Iterator<Item = PluginStatus>) -> Vec<MetricFamily> {
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(moment, plugins);
        let mut families = self.engine.gather(moment.unix_time, moment.sleep_level);
        families.extend(self.registry.gather());
        families
    }

    /// Takes over what is known only at this moment.
    fn look(&self, moment: &Moment, plugins: impl Iterator<Item = PluginStatus>) {
        self.plugins.look(plugins);
        for (what, bytes) in &moment.held {
            self.held.with_label_values(&[what]).set(*bytes as i64);
        }
    }

    /// The page at this moment, with plugins as they are.
    pub fn page(&self, moment: &Moment, plugins: impl Iterator<Item = PluginStatus>) -> anyhow::Result<Vec<u8>> {
        // One scrape at a time: another would find the rows that this one is about to replace gone.
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(moment, plugins);
        let mut families = self.process.gather();
        families.extend(dialect::translate(self.of_engine(moment), self.dialect));
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
