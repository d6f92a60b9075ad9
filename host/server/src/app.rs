//! The assembly: plugins, engine, and what the handlers need to know of the configuration.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{Adapters, Engine, EngineObserver};
use rehearsal_plugin_host::PluginHost;

use crate::answerers::Answerers;
use crate::config::{Config, LoraModule, Pod};
use crate::kv_events::{KvEvents, RunningKvEvents};
use crate::logs::EngineLog;
use crate::metrics::Metrics;
use crate::prompts::Prompts;
use crate::tokenizer::ServedTokenizer;

/// The vLLM that we stand in for.
pub const VLLM_VERSION: &str = "0.33.0";

/// A server, ready to answer.
pub struct App {
    /// The simulated engine.
    pub engine: Engine,
    /// What makes tokens of what clients send.
    pub prompts: Prompts,
    /// Who answers.
    pub answerers: Answerers,
    /// `root` of the model cards.
    pub model: String,
    /// Names in the API; the first one is reported.
    pub served_model_names: Vec<String>,
    /// Adapters that can be asked for.
    pub adapters: Adapters,
    /// Say how many prompt tokens were cached.
    pub prompt_tokens_details: bool,
    /// vLLM's endpoints for developers are there.
    pub dev_mode: bool,
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
    /// KV-cache events, until somebody starts to publish them.
    kv_events: Mutex<Option<KvEvents>>,
}

impl App {
    /// Loads plugins and builds the engine, whose prompts `served` makes tokens of. Fails with every problem.
    pub async fn new(config: &Config, served: ServedTokenizer) -> Result<Self, Vec<String>> {
        let metrics = Metrics::new(config).map_err(|error| vec![format!("{error:#}")])?;
        let mut observers: Vec<Arc<dyn EngineObserver>> =
            vec![metrics.engine.clone(), metrics.plugins.clone(), Arc::new(EngineLog)];
        let plugins =
            PluginHost::load(config.plugins.clone(), served.tokenizer.clone(), vec![metrics.plugins.clone()]).await;
        let plugins = plugins.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        metrics.plugins.expect(plugins.statuses());
        let answerers = Answerers::new(config, &plugins)?;
        let mut kv_events = None;
        if let Some(kv_events_config) = &config.kv_events {
            let dropped = metrics.engine.dropped_kv_events.clone();
            let opened = KvEvents::open(kv_events_config, config.rank, dropped).await;
            let (events, observer) = opened.map_err(|problem| vec![problem])?;
            observers.push(Arc::new(observer));
            kv_events = Some(events);
        }
        tracing::info!(seed = config.engine.seed, mode = config.picks.mode, model = config.model, "engine ready");
        Ok(Self {
            engine: Engine::new(config.engine.clone(), config.latency, served.tokenizer.clone(), observers),
            prompts: Prompts::new(served, config.engine.max_model_len, config.engine.kv_cache.is_some()),
            answerers,
            model: config.model.clone(),
            served_model_names: config.served_model_names.clone(),
            adapters: adapters(&config.lora_modules),
            prompt_tokens_details: config.prompt_tokens_details,
            dev_mode: config.dev_mode,
            strict_context_window: config.strict_context_window,
            rank: config.rank,
            pod: config.pod.clone(),
            fingerprint: fingerprint(&config.model),
            port: AtomicU16::new(config.port),
            model_cards: AtomicU64::new(0),
            plugins,
            metrics,
            kv_events: Mutex::new(kv_events),
        })
    }

    /// Begins to publish KV-cache events, once the port is known. None if there are none, or if somebody has begun.
    pub fn start_kv_events(&self) -> Option<RunningKvEvents> {
        let kv_events = self.kv_events.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(kv_events.start(format!("kv@{}:{}@{}", self.reachable_host(), self.port(), self.model)))
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
