//! The assembly: plugins, engine, and what the handlers need to know of the configuration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use axum::http::HeaderMap;
use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{BuiltinTokenizer, Engine, Strategies, Tokenizer};
use rehearsal_plugin_host::{Needs, PluginHost};

use crate::config::{Config, Pod};

/// The vLLM that we stand in for.
pub const VLLM_VERSION: &str = "0.33.0";

/// Forces the built-in failure plugin to answer with this status.
const FORCING_HEADER: &str = "x-return-error";

/// A server, ready to answer.
pub struct App {
    /// The simulated engine.
    pub engine: Engine,
    /// Who decides what is answered.
    strategies: Strategies,
    /// Whether every request is put to the failure policy, or only those that force a failure.
    always_may_fail: bool,
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
        let strategies = strategies(config, &plugins)?;
        tracing::info!(seed = config.engine.seed, mode = config.mode, model = config.model, "engine ready");
        Ok(Self {
            engine: Engine::new(config.engine.clone(), config.latency, tokenizer, Vec::new()),
            strategies,
            always_may_fail: always_may_fail(config),
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

    /// Who decides what a request with these headers is answered with. While nothing can fail on purpose, the failure
    /// policy is not asked, and a built-in one is not even instantiated.
    pub fn strategies(&self, headers: &HeaderMap) -> Strategies {
        let mut strategies = self.strategies.clone();
        if !self.always_may_fail && !headers.contains_key(FORCING_HEADER) {
            strategies.failure_policy = None;
        }
        strategies
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

fn strategies(config: &Config, plugins: &PluginHost) -> Result<Strategies, Vec<String>> {
    let generator = plugins.generator(&config.mode).ok_or_else(|| {
        let known = ["echo", "random"].into_iter().chain(plugins.generators()).collect::<BTreeSet<_>>();
        format!("mode: {:?} is no plugin that generates; known are {}", config.mode, joined(known))
    });
    let tool_caller = plugins.tool_caller(&config.tool_plugin).ok_or_else(|| {
        let known = ["tool-call"].into_iter().chain(plugins.tool_callers()).collect::<BTreeSet<_>>();
        format!("tool-plugin: {:?} is no plugin that calls tools; known are {}", config.tool_plugin, joined(known))
    });
    let failure_policy = plugins.failure_policy(&config.failure_plugin).ok_or_else(|| {
        let known = ["failure"].into_iter().chain(plugins.failure_policies()).collect::<BTreeSet<_>>();
        format!(
            "failure-plugin: {:?} is no plugin that selects failures; known are {}",
            config.failure_plugin,
            joined(known)
        )
    });
    match (generator, tool_caller, failure_policy) {
        (Ok(generator), Ok(tool_caller), Ok(failure_policy)) => {
            let tool_caller = (!plugins.sees_to_tools(&config.mode)).then_some(tool_caller);
            Ok(Strategies { generator, tool_caller, failure_policy: Some(failure_policy) })
        }
        (generator, tool_caller, failure_policy) => {
            Err([generator.err(), tool_caller.err(), failure_policy.err()].into_iter().flatten().collect())
        }
    }
}

/// A plugin of the user's own decides by itself; the built-in needs a rate or a rule.
fn always_may_fail(config: &Config) -> bool {
    if config.failure_plugin != "failure" {
        return true;
    }
    let built_in = config.plugins.iter().find(|plugin| plugin.name == config.failure_plugin);
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
