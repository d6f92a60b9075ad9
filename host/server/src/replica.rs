//! The assembly: plugins, engine, and what the handlers need to know of the configuration.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, HeaderValue};
use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{Adapter, Adapters, Clock, Engine, EngineObserver, EngineTime};
use rehearsal_plugin_host::{EngineView, PluginHost, PluginObserver, PluginSpec, Plugins, Reconfigured, Surroundings};
use serde_json::{Map, Value};

use crate::config::{
    AnswersConfig, Config, ConnectionConfig, LoraModule, MetricsConfig, ModelConfig, Pod, RequestLimits,
    RequestLogConfig,
};
use crate::live_config::LiveConfig;
use crate::process::closing::Closing;
use crate::prompts::Prompts;
use crate::prompts::tokenizer::ServedTokenizer;
use crate::registry;
use crate::response_store::ResponseStore;
use crate::routing::Routing;
use crate::sleep::Sleep;
use crate::telemetry::capture::Capture;
use crate::telemetry::kv_events::{KvEvents, RunningKvEvents};
use crate::telemetry::live::Live;
use crate::telemetry::load::ServerLoad;
use crate::telemetry::logs::EngineLog;
use crate::telemetry::logs::stats::Throughput;
use crate::telemetry::metrics::{Metrics, Moment};
use crate::telemetry::traces::Traces;
use crate::wire::errors::ApiError;

/// The vLLM that we stand in for.
pub const VLLM_VERSION: &str = "0.33.0";

/// A server, ready to answer.
pub struct Replica {
    /// The time of the engine and of all that it tells; one for all servers of the process.
    pub clock: Clock,
    /// The simulated engine.
    pub engine: Engine,
    /// What makes tokens of what clients send.
    pub prompts: Prompts,
    /// Which plugins answer.
    pub routing: ArcSwap<Routing>,
    /// The model's names.
    pub model: ModelConfig,
    /// Adapters that can be asked for.
    pub adapters: Adapters,
    /// What requests may ask for.
    pub limits: RequestLimits,
    /// What answers carry.
    pub answers: Arc<AnswersConfig>,
    /// Lines about requests and the engine.
    pub log: RequestLogConfig,
    /// Requests that are being answered, where they are counted.
    pub load: ServerLoad,
    /// What the engine computed, where lines tell of it.
    pub throughput: Option<Arc<Throughput>>,
    /// Whether it sleeps or pauses.
    pub sleep: Sleep,
    /// Responses that were kept.
    pub responses: Arc<ResponseStore>,
    /// Which of several data-parallel servers this one is.
    pub rank: u32,
    /// The server's place in a cluster.
    pub pod: Pod,
    /// `system_fingerprint` of every answer.
    pub fingerprint: String,
    /// The port that is listened on, once it is.
    port: AtomicU16,
    /// Numbers ids of things that are no requests.
    n_ids: AtomicU64,
    /// When the server was built, and for how long after that it says that it is not ready.
    startup: (EngineTime, Duration),
    /// Everything that is loaded.
    pub plugins: Plugins,
    /// What Prometheus scrapes.
    pub metrics: Metrics,
    /// What was said of each key, and can be changed.
    pub live: LiveConfig,
    /// What connections may take.
    pub connections: ConnectionConfig,
    /// That it is about to stop.
    pub closing: Closing,
    /// What the page shows.
    pub watched: Arc<Live>,
    /// Spans of requests, if they are traced.
    pub traces: Option<Arc<Traces>>,
    /// Requests that are kept to be looked at.
    pub capture: Option<Arc<Capture>>,
    /// KV-cache events, until they are published.
    kv_events: Mutex<Option<KvEvents>>,
}

/// Loads the plugins of all ranks of a process, from files, and from registries by way of files. Fails with every problem.
pub async fn load_plugins(config: &Config, served: &ServedTokenizer) -> Result<Arc<PluginHost>, Vec<String>> {
    let plugins = registry::fetched(config.plugins.clone(), config.plugin_cache.as_deref()).await?;
    let loaded = PluginHost::load(plugins, served.tokenizer.clone(), config.n_ranks).await;
    loaded.map(Arc::new).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

impl Replica {
    /// Builds the engine, whose time is `clock`'s, whose prompts `served` makes tokens of, and for which `plugins` answer.
    /// Fails with every problem.
    pub async fn new(
        config: &Config,
        clock: &Clock,
        served: ServedTokenizer,
        plugins: &Arc<PluginHost>,
    ) -> Result<Self, Vec<String>> {
        let metrics = Metrics::new(config).map_err(|error| vec![format!("{error:#}")])?;
        let mut observers: Vec<Arc<dyn EngineObserver>> =
            vec![metrics.engine.clone(), metrics.plugins.clone(), metrics.injected.clone(), Arc::new(EngineLog)];
        let watched = Live::new();
        observers.push(watched.clone());
        let throughput = config.log.requests.stats.map(|_| Arc::new(Throughput::default()));
        observers.extend(throughput.clone().map(|throughput| throughput as Arc<dyn EngineObserver>));
        let dropped = metrics.dropped_captures.clone();
        let capture = Capture::new(&config.capture, config.rank, clock.clone(), dropped);
        let capture = capture.map_err(|problem| vec![problem])?;
        observers.extend(capture.clone().map(|capture| capture as Arc<dyn EngineObserver>));
        let traces = config.traces.as_ref().map(|traces| Traces::new(traces, config.engine.seed, clock.clone()));
        let traces = traces.transpose().map_err(|problem| vec![problem])?;
        observers.extend(traces.clone().map(|traces| traces as Arc<dyn EngineObserver>));
        let view = Arc::new(EngineView::new(config.rank, config.engine.max_num_seqs));
        observers.push(view.clone());
        let plugin_observers = vec![metrics.plugins.clone() as Arc<dyn PluginObserver>];
        let plugins = plugins.replica(&Surroundings { observers: plugin_observers, clock: clock.clone(), view });
        observers.push(plugins.endings());
        metrics.plugins.expect(plugins.statuses());
        let routing = Routing::new(config, &plugins)?;
        let mut kv_events = None;
        if let Some(kv_events_config) = &config.kv_events {
            let opened = KvEvents::open(kv_events_config, config.rank, clock.clone(), metrics.kv_events.clone()).await;
            let (events, observer) = opened.map_err(|problem| vec![problem])?;
            observers.push(Arc::new(observer));
            kv_events = Some(events);
        }
        let (seed, mode, model) = (config.engine.seed, &config.routing.usual.mode, &config.model.name);
        tracing::info!(seed, mode, model, "engine ready");
        let tokenizer = served.tokenizer.clone();
        Ok(Self {
            engine: Engine::new(config.engine.clone(), config.latency, tokenizer, clock.clone(), observers),
            prompts: Prompts::new(served, config.engine.max_model_len, config.engine.kv_cache.is_some()),
            routing: ArcSwap::from_pointee(routing),
            model: config.model.clone(),
            adapters: adapters(&config.lora_modules),
            limits: config.limits.clone(),
            answers: Arc::new(config.answers.clone()),
            log: config.log.requests.clone(),
            load: ServerLoad::new(config.answers.server_load_tracking),
            throughput,
            sleep: Sleep::default(),
            responses: Arc::new(ResponseStore::new(config.answers.response_store)),
            rank: config.rank,
            pod: config.pod.clone(),
            fingerprint: fingerprint(&config.model.name),
            port: AtomicU16::new(config.serving.address.port()),
            n_ids: AtomicU64::new(0),
            startup: (clock.now(), config.serving.startup_duration),
            clock: clock.clone(),
            plugins,
            metrics,
            connections: config.connections,
            closing: Closing::new(),
            watched,
            live: LiveConfig::new(config.settings.clone()),
            traces,
            capture,
            kv_events: Mutex::new(kv_events),
        })
    }

    /// Begins to publish KV-cache events, once the port is known. `None` if there are none, or if that was begun before.
    pub fn start_kv_events(&self) -> Option<RunningKvEvents> {
        let kv_events = self.kv_events.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(kv_events.start(format!("kv@{}:{}@{}", self.reachable_host(), self.port(), self.model.name)))
    }

    /// The adapter that the model's name stands for, if it is not one of the model's own. Fails if nothing of that name is
    /// served.
    pub fn adapter(&self, model: Option<&str>) -> Result<Option<Arc<Adapter>>, ApiError> {
        let model = model.unwrap_or_default();
        if model.is_empty() || self.model.served_names.iter().any(|served| served == model) {
            return Ok(None);
        }
        match self.adapters.find(model) {
            Some(adapter) => Ok(Some(adapter)),
            None if self.model.skips_name_validation => Ok(None),
            None => Err(ApiError::UnknownModel { model: model.to_owned(), served: self.model.served_names.clone() }),
        }
    }

    /// Changes keys while the server runs: some at once, or none if anything is wrong with any. Fails with all of that.
    /// What plugins are told is the same for all replicas.
    pub async fn reconfigure(&self, changes: impl FnOnce() -> Map<String, Value>) -> Result<(), Vec<String>> {
        let change = self.live.understand(changes).await?;
        let (mut plugins, mut problems) = (Vec::new(), Vec::new());
        let is_changed = |spec: &&PluginSpec| {
            change.before.plugins.iter().all(|before| before.name != spec.name || before.config != spec.config)
        };
        for spec in change.config.plugins.iter().filter(is_changed) {
            match self.plugins.reconfigured(spec).await {
                Ok(reconfigured) => plugins.extend(reconfigured),
                Err(error) => problems.push(error.to_string()),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        // Whether failures are asked for follows from how many there are to be.
        let routing = Routing::new(&change.config, &self.plugins)?;
        // From here on, nothing can fail.
        plugins.into_iter().for_each(Reconfigured::serve);
        self.routing.store(Arc::new(routing));
        self.engine.set_latency(change.config.latency);
        let MetricsConfig { fake, fake_interval, .. } = &change.config.metrics;
        self.metrics.make_up(fake.clone(), *fake_interval, self.clock.now().since_start());
        change.commit();
        Ok(())
    }

    /// What a scrape finds now.
    pub fn moment(&self) -> Moment {
        Moment {
            now: self.clock.now().since_start(),
            unix_time: self.clock.unix_time(),
            sleep_level: self.sleep.level(),
            held: [
                ("tokenizer_words", self.prompts.tokenizer().remembered_bytes()),
                ("captured_requests", self.capture.as_ref().map_or(0, |capture| capture.n_bytes())),
                ("kept_responses", self.responses.n_bytes()),
            ],
        }
    }

    /// The headers that plugins need, names in lower case.
    pub fn needed_headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let needs = self.plugins.needs();
        let wanted = headers.iter().filter(|(name, _)| needs.keeps_header(name.as_str()));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        wanted.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }

    /// The name that answers carry.
    pub fn reported_model(&self) -> &str {
        &self.model.served_names[0]
    }

    /// Where other servers can reach us, as far as we know.
    pub fn reachable_host(&self) -> &str {
        self.pod.ip.as_deref().unwrap_or("127.0.0.1")
    }

    /// The port that is listened on.
    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Tells the replica which port it got.
    pub fn set_port(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// Whether the server says that it is ready. It answers before that too.
    pub fn is_ready(&self) -> bool {
        let (built, duration) = self.startup;
        self.clock.now().since(built) >= duration
    }

    /// 16 hex digits that no request's id has.
    pub fn next_id(&self) -> String {
        let number = self.n_ids.fetch_add(1, Ordering::Relaxed);
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
