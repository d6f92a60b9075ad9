//! The assembly: plugins, engine, and what the handlers need to know of the configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{Adapters, BuiltinTokenizer, Engine, Tokenizer};
use rehearsal_plugin_host::PluginHost;

use crate::answerers::Answerers;
use crate::config::{Config, LoraModule, Pod};
use crate::logs::EngineLog;
use crate::metrics::Metrics;

/// The vLLM that we stand in for.
pub const VLLM_VERSION: &str = "0.33.0";

/// A server, ready to answer.
pub struct App {
    /// The simulated engine.
    pub engine: Engine,
    /// Who answers.
    pub answerers: Answerers,
    /// `root` of the model cards.
    pub model: String,
    /// Names in the API; the first one is reported.
    pub served_model_names: Vec<String>,
    /// Adapters that can be asked for.
    pub adapters: Adapters,
    /// Refuse what vLLM would cut.
    pub strict_context_window: bool,
    /// Which of several data-parallel servers this one is.
    pub rank: u32,
    /// Who we are in a cluster.
    pub pod: Pod,
    /// `system_fingerprint` of every answer.
    pub fingerprint: String,
    /// The port that is listened on, once it is.
    port: AtomicU16,
    /// Numbers the permission ids of model cards.
    model_cards: AtomicU64,
    /// Everything that is loaded.
    pub plugins: PluginHost,
    /// What Prometheus scrapes.
    pub metrics: Metrics,
}

impl App {
    /// Loads plugins and builds the engine. Fails with every problem.
    pub async fn new(config: &Config) -> Result<Self, Vec<String>> {
        let tokenizer: Arc<dyn Tokenizer> = Arc::new(BuiltinTokenizer::default());
        let metrics = Metrics::new().map_err(|error| vec![format!("{error:#}")])?;
        let plugins = PluginHost::load(config.plugins.clone(), tokenizer.clone(), vec![metrics.plugins.clone()]).await;
        let plugins = plugins.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        metrics.plugins.expect(plugins.statuses());
        let answerers = Answerers::new(config, &plugins)?;
        tracing::info!(seed = config.engine.seed, mode = config.picks.mode, model = config.model, "engine ready");
        Ok(Self {
            engine: Engine::new(
                config.engine.clone(),
                config.latency,
                tokenizer,
                vec![metrics.plugins.clone(), Arc::new(EngineLog)],
            ),
            answerers,
            model: config.model.clone(),
            served_model_names: config.served_model_names.clone(),
            adapters: adapters(&config.lora_modules),
            strict_context_window: config.strict_context_window,
            rank: config.rank,
            pod: config.pod.clone(),
            fingerprint: fingerprint(&config.model),
            port: AtomicU16::new(config.port),
            model_cards: AtomicU64::new(0),
            plugins,
            metrics,
        })
    }

    /// The name that answers carry.
    pub fn reported_model(&self) -> &str {
        &self.served_model_names[0]
    }

    /// Where other servers can reach us, as far as we know.
    pub fn reachable_host(&self) -> &str {
        self.pod.ip.as_deref().unwrap_or("127.0.0.1")
    }

    /// The port that is listened on.
    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Tells the app which port it got.
    pub fn set_port(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// 16 hex digits for a model card's permission.
    pub fn next_permission_id(&self) -> String {
        let number = self.model_cards.fetch_add(1, Ordering::Relaxed);
        // Numbers of requests count from 0; these must not meet them.
        format!("{:016x}", seed::derive(Purpose::Id, &[self.engine.config().seed, number, 1]))
    }
}

/// Those that the configuration lists, which are all different.
fn adapters(modules: &[LoraModule]) -> Adapters {
    let adapters = Adapters::default();
    for LoraModule { name, path, base_model } in modules.iter().cloned() {
        let _ = adapters.load(name, path, base_model, true);
    }
    adapters
}

/// Looks like vLLM's, follows from the model.
fn fingerprint(model: &str) -> String {
    let bytes: Vec<u64> = model.bytes().map(u64::from).collect();
    format!("vllm-{VLLM_VERSION}-{:08x}", seed::derive(Purpose::Id, &bytes) as u32)
}
