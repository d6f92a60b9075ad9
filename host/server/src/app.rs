//! The assembly: plugins, engine, and what the handlers need to know of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use axum::http::HeaderMap;
use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{BuiltinTokenizer, Engine, ResponseStrategy, Strategies, Tokenizer};
use rehearsal_plugin_host::{Needs, PluginHost};

use crate::api::error::ApiError;
use crate::config::{Config, Picks, Pod};

/// The vLLM that we stand in for.
pub const VLLM_VERSION: &str = "0.33.0";

/// Forces the built-in failure plugin to answer with this status.
const FORCING_HEADER: &str = "x-return-error";

/// Picks the plugin that answers one request.
const MODE_HEADER: &str = "x-rehearsal-mode";

/// A server, ready to answer.
pub struct App {
    /// The simulated engine.
    pub engine: Engine,
    /// Who decides what is answered, for models without an entry of their own.
    usual: Serving,
    /// The same by served name.
    models: BTreeMap<String, Serving>,
    /// Generators that a header may pick, by name; empty if none may.
    overrides: BTreeMap<String, Generator>,
    /// What plugins want to be sent.
    pub needs: Needs,
    /// `root` of the model cards.
    pub model: String,
    /// Names in the API; the first one is reported.
    pub served_model_names: Vec<String>,
    /// Refuse what vLLM would cut.
    pub strict_context_window: bool,
    /// Who we are in a cluster.
    pub pod: Pod,
    /// `system_fingerprint` of every answer.
    pub fingerprint: String,
    /// The port that is listened on, once it is.
    port: AtomicU16,
    /// Numbers the permission ids of model cards.
    model_cards: AtomicU64,
    _plugins: PluginHost,
}

impl App {
    /// Loads plugins and builds the engine. Fails with every problem.
    pub async fn new(config: &Config) -> Result<Self, Vec<String>> {
        let tokenizer: Arc<dyn Tokenizer> = Arc::new(BuiltinTokenizer::default());
        let plugins = PluginHost::load(config.plugins.clone(), tokenizer.clone()).await;
        let plugins = plugins.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let (usual, models) = serving(config, &plugins)?;
        tracing::info!(seed = config.engine.seed, mode = config.picks.mode, model = config.model, "engine ready");
        Ok(Self {
            engine: Engine::new(config.engine.clone(), config.latency, tokenizer, Vec::new()),
            overrides: if config.request_overrides { generators(&plugins) } else { BTreeMap::new() },
            usual,
            models,
            needs: plugins.needs(),
            model: config.model.clone(),
            served_model_names: config.served_model_names.clone(),
            strict_context_window: config.strict_context_window,
            pod: config.pod.clone(),
            fingerprint: fingerprint(&config.model),
            port: AtomicU16::new(config.port),
            model_cards: AtomicU64::new(0),
            _plugins: plugins,
        })
    }

    /// The name that answers carry.
    pub fn reported_model(&self) -> &str {
        &self.served_model_names[0]
    }

    /// Who decides what a request for `model` with these headers is answered with. While nothing can fail on purpose,
    /// the failure policy is not asked, and a built-in one is not even instantiated.
    pub fn strategies(&self, model: Option<&str>, headers: &HeaderMap) -> Result<Strategies, ApiError> {
        let serving = model.and_then(|model| self.models.get(model)).unwrap_or(&self.usual);
        let mut strategies = serving.strategies.clone();
        if !serving.always_may_fail && !headers.contains_key(FORCING_HEADER) {
            strategies.failure_policy = None;
        }
        if let Some(mode) = headers.get(MODE_HEADER).filter(|_| !self.overrides.is_empty()) {
            let name = mode.to_str().unwrap_or_default();
            let picked = self.overrides.get(name).ok_or_else(|| {
                let known = joined(self.overrides.keys().map(String::as_str).collect());
                ApiError::invalid_value(MODE_HEADER, format!("{mode:?}"), format!("no such mode; loaded are {known}"))
            })?;
            strategies.generator = picked.strategy.clone();
            strategies.tool_caller = strategies.tool_caller.filter(|_| !picked.sees_to_tools);
        }
        Ok(strategies)
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

/// Who answers for a model.
struct Serving {
    strategies: Strategies,
    /// Whether every request is put to the failure policy, or only those that force a failure.
    always_may_fail: bool,
}

/// A generator that a header may pick.
struct Generator {
    strategy: Arc<dyn ResponseStrategy>,
    sees_to_tools: bool,
}

fn generators(plugins: &PluginHost) -> BTreeMap<String, Generator> {
    let generator = |name: &str| {
        let strategy = plugins.generator(name)?;
        Some((name.to_owned(), Generator { strategy, sees_to_tools: plugins.sees_to_tools(name) }))
    };
    plugins.generators().filter_map(generator).collect()
}

/// Who answers usually, and for each model that has an entry.
fn serving(config: &Config, plugins: &PluginHost) -> Result<(Serving, BTreeMap<String, Serving>), Vec<String>> {
    let mut problems = Vec::new();
    let mut serve = |picks: &Picks| {
        let strategies = strategies(picks, plugins).map_err(|mut found| problems.append(&mut found)).ok()?;
        Some(Serving { strategies, always_may_fail: always_may_fail(picks, config) })
    };
    let usual = serve(&config.picks);
    let models = config.models.iter().filter_map(|(name, picks)| Some((name.clone(), serve(picks)?))).collect();
    match usual {
        Some(usual) if problems.is_empty() => Ok((usual, models)),
        _ => {
            problems.dedup();
            Err(problems)
        }
    }
}

fn strategies(picks: &Picks, plugins: &PluginHost) -> Result<Strategies, Vec<String>> {
    let unknown = |key: &str, pick: &str, can: &str, builtins: &[&'static str], loaded: Vec<&str>| {
        let known = joined(builtins.iter().copied().chain(loaded).collect());
        format!("{key}: {pick:?} is no plugin that {can}; known are {known}")
    };
    let generator = plugins
        .generator(&picks.mode)
        .ok_or_else(|| unknown("mode", &picks.mode, "generates", &["echo", "random"], plugins.generators().collect()));
    let tool_caller = plugins.tool_caller(&picks.tool_plugin).ok_or_else(|| {
        unknown("tool-plugin", &picks.tool_plugin, "calls tools", &["tool-call"], plugins.tool_callers().collect())
    });
    let failure_policy = plugins.failure_policy(&picks.failure_plugin).ok_or_else(|| {
        let loaded = plugins.failure_policies().collect();
        unknown("failure-plugin", &picks.failure_plugin, "selects failures", &["failure"], loaded)
    });
    match (generator, tool_caller, failure_policy) {
        (Ok(generator), Ok(tool_caller), Ok(failure_policy)) => {
            let tool_caller = (!plugins.sees_to_tools(&picks.mode)).then_some(tool_caller);
            Ok(Strategies { generator, tool_caller, failure_policy: Some(failure_policy) })
        }
        (generator, tool_caller, failure_policy) => {
            Err([generator.err(), tool_caller.err(), failure_policy.err()].into_iter().flatten().collect())
        }
    }
}

/// A plugin of the user's own decides by itself; the built-in needs a rate or a rule.
fn always_may_fail(picks: &Picks, config: &Config) -> bool {
    if picks.failure_plugin != "failure" {
        return true;
    }
    let built_in = config.plugins.iter().find(|plugin| plugin.name == picks.failure_plugin);
    built_in.is_some_and(|plugin| {
        let rate = plugin.config.get("failure-injection-rate").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        let rules = plugin.config.get("rules").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
        rate > 0.0 || rules > 0
    })
}

fn joined(names: BTreeSet<&str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Looks like vLLM's, follows from the model.
fn fingerprint(model: &str) -> String {
    let bytes: Vec<u64> = model.bytes().map(u64::from).collect();
    format!("vllm-{VLLM_VERSION}-{:08x}", seed::derive(Purpose::Id, &bytes) as u32)
}
