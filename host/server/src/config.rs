//! What the user said, understood: typed and in range, or a list of everything that is wrong with it.
//!
//! Each file has the keys of one topic, and reads them. Flags of vLLM that mean nothing here stand in [`accepted`].

pub(crate) mod key;
mod reader;
mod values;

mod access;
mod answers;
mod capture;
mod clock;
mod connections;
mod engine;
mod failures;
mod fake_metrics;
pub mod klog;
mod kv_cache;
mod kv_events;
mod latency;
mod logs;
mod lora;
mod metrics;
mod model;
mod parsers;
pub(crate) mod plugins;
mod pod;
mod reasoning;
mod routing;
mod serving;
mod settings;
pub(crate) mod steps;
mod tokenizer;
mod tools;
mod traces;

pub mod accepted;

use std::path::PathBuf;

use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{ConfiguredLatency, EngineConfig};
use rehearsal_plugin_host::PluginSpec;

use reader::Reader;

pub use access::{AccessConfig, Certificate, ClientCertificates, CorsConfig, TlsConfig};
pub use answers::{AnswersConfig, RequestLimits};
pub use capture::CaptureConfig;
pub use clock::ClockConfig;
pub use connections::ConnectionConfig;
pub use fake_metrics::{FakeMetrics, observations};
pub use key::{Spec, Takes, Topic};
pub use kv_events::{KvEventsConfig, ZmqEndpoint};
pub use logs::{HeaderConfig, LogConfig, LogFilesConfig, LogPlace, RequestLogConfig};
pub use lora::LoraModule;
pub use metrics::{LoraLists, MetricsConfig, MetricsDialect};
pub use model::{ChatTemplateConfig, ContentFormat, ModelConfig, TemplateSource};
pub use pod::Pod;
pub use routing::{ModelPlugins, RoutingConfig};
pub use serving::{Address, ServingConfig};
pub use settings::{Origin, Settings};
pub use tokenizer::TokenizerConfig;
pub use traces::{OtlpProtocol, TracesConfig};
pub(crate) use values::{any_text, duration, large_number, switch};

/// The configuration of a server; valid by construction.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it was understood from.
    pub settings: Settings,
    /// Where it is reached, and its life.
    pub serving: ServingConfig,
    /// What connections may take.
    pub connections: ConnectionConfig,
    /// Keys, origins, certificates.
    pub access: AccessConfig,
    /// The model's names.
    pub model: ModelConfig,
    /// Which tokenizer is served, and where it may lie.
    pub tokenizer: TokenizerConfig,
    /// How conversations become prompts.
    pub chat_template: ChatTemplateConfig,
    /// What requests may ask for.
    pub limits: RequestLimits,
    /// What answers carry.
    pub answers: AnswersConfig,
    /// Which requests are kept.
    pub capture: CaptureConfig,
    /// How metrics are told.
    pub metrics: MetricsConfig,
    /// Where spans go, if requests are traced.
    pub traces: Option<TracesConfig>,
    /// Which of several data-parallel servers this one is, from 0.
    pub rank: u32,
    /// Servers in this process, this one included.
    pub n_ranks: u32,
    /// The engine's limits and seed.
    pub engine: EngineConfig,
    /// How long things take.
    pub latency: ConfiguredLatency,
    /// How time passes in the engine.
    pub clock: ClockConfig,
    /// How KV-cache events leave, if there are any.
    pub kv_events: Option<KvEventsConfig>,
    /// Adapters that are there from the start.
    pub lora_modules: Vec<LoraModule>,
    /// Which plugins answer.
    pub routing: RoutingConfig,
    /// Plugins to load: those that the user named, and the built-ins that may be needed.
    pub plugins: Vec<PluginSpec>,
    /// Where components from registries are kept, if anything says so.
    pub plugin_cache: Option<PathBuf>,
    /// Reload plugins whose files change.
    pub watch_plugins: bool,
    /// The server's place in a cluster.
    pub pod: Pod,
    /// What to log.
    pub log: LogConfig,
    /// What is odd, but no reason not to start.
    pub warnings: Vec<String>,
}

/// Every key that is read here, in the order of the help.
pub fn specs() -> impl Iterator<Item = &'static Spec> {
    [
        serving::SPECS,
        connections::SPECS,
        access::SPECS,
        model::SPECS,
        tokenizer::SPECS,
        answers::SPECS,
        metrics::SPECS,
        capture::SPECS,
        pod::SPECS,
        engine::SPECS,
        lora::SPECS,
        latency::SPECS,
        steps::SPECS,
        clock::SPECS,
        routing::SPECS,
        plugins::SPECS,
        tools::SPECS,
        reasoning::SPECS,
        kv_cache::SPECS,
        kv_events::SPECS,
        failures::SPECS,
        logs::SPECS,
        traces::SPECS,
    ]
    .into_iter()
    .flatten()
}

impl Config {
    /// Understands `settings`. Fails with every problem, each with the key, the value and where it came from.
    pub fn new(settings: &Settings) -> Result<Self, Vec<String>> {
        let mut reader = Reader::new(settings);
        let ranks = engine::ranks(&mut reader);
        let model = model::read(&mut reader);
        let lora_modules = lora::modules(&mut reader, &model);
        let adapters = lora_modules.iter().map(|module| module.name.as_str());
        let routing = routing::read(
            &mut reader,
            &model.served_names.iter().map(String::as_str).chain(adapters).collect::<Vec<_>>(),
        );
        let profile = steps::profile_in_force(&mut reader);
        let last_rank = ranks.first + ranks.n - 1;
        let (kv_cache, kv_events) = kv_cache::read(&mut reader, &model.served_names[0], last_rank, profile.as_ref());
        let has_kv_cache = kv_cache.is_some();
        let serving = serving::read(&mut reader, ranks.n);
        let engine = engine::read(&mut reader, kv_cache, profile.as_ref(), ranks.n);
        let base = Self {
            settings: settings.clone(),
            serving,
            connections: connections::read(&mut reader),
            access: access::read(&mut reader),
            tokenizer: tokenizer::read(&mut reader),
            chat_template: model::chat_template(&mut reader),
            limits: answers::limits(&mut reader),
            answers: answers::read(&mut reader, has_kv_cache),
            metrics: metrics::read(&mut reader, engine.max_model_len),
            capture: capture::read(&mut reader),
            traces: traces::read(&mut reader),
            rank: 0,
            n_ranks: ranks.n,
            engine,
            latency: latency::read(&mut reader),
            clock: clock::read(&mut reader),
            kv_events,
            plugins: plugins::read(&mut reader, &routing.plugins()),
            plugin_cache: plugins::cache(&mut reader),
            watch_plugins: plugins::are_watched(&mut reader),
            pod: pod::read(&mut reader),
            log: logs::read(&mut reader),
            model,
            lora_modules,
            routing,
            warnings: reader.take_warnings(),
        };
        debug_assert!(
            reader.keys_read().iter().all(|key| specs().any(|spec| spec.name == *key)),
            "a topic is not listed"
        );
        reader.finish(base.of_rank(ranks.first))
    }

    /// One configuration for each server of this process.
    pub fn of_all_ranks(&self) -> impl Iterator<Item = Self> {
        (0..self.n_ranks).map(|ranks_on| {
            let address = self.serving.address.of_rank(ranks_on);
            let serving = ServingConfig { address, ..self.serving.clone() };
            let capture = self.capture.of_rank(ranks_on);
            Self { serving, capture, ..self.clone().of_rank(self.rank + ranks_on) }
        })
    }

    /// The same for a further rank, whose answers are its own.
    fn of_rank(mut self, rank: u32) -> Self {
        if rank != self.rank {
            self.engine.seed = seed::derive(Purpose::Rank, &[self.engine.seed, rank.into()]);
            let ranks_on = rank - self.rank;
            self.kv_events = self.kv_events.map(|events| events.of_rank(ranks_on));
            self.rank = rank;
        }
        self
    }

    /// The name that answers carry, whichever alias was asked for.
    pub fn reported_model(&self) -> &str {
        &self.model.served_names[0]
    }
}

#[cfg(test)]
mod tests;
