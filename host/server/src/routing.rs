//! Which plugins answer: for each model its generator, tool caller and failure policy, and what a header may change
//! about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::HeaderMap;
use rehearsal_engine::{EmbeddingStrategy, ResponseStrategy, Strategies};
use rehearsal_plugin_host::{Interface, Plugins};

use crate::config::{Config, ModelPlugins};
use crate::wire::errors::ApiError;

/// Forces the built-in failure plugin to answer with this status.
const FORCING_HEADER: &str = "x-return-error";

/// Picks the plugin that answers one request.
const MODE_HEADER: &str = "x-rehearsal-mode";

/// The plugins that answer, by model.
pub struct Routing {
    /// For models without an entry of their own.
    usual: Serving,
    /// By served name.
    models: BTreeMap<String, Serving>,
    /// Generators that a header may pick, by name; empty if none may.
    overrides: BTreeMap<String, Arc<dyn ResponseStrategy>>,
}

impl Routing {
    /// Looks up every plugin that is picked. Fails with each that is not loaded or cannot do what it is picked for.
    pub fn new(config: &Config, plugins: &Plugins) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut serve = |picks: &ModelPlugins| {
            let embedder = embedder(picks, plugins).map_err(|problem| problems.push(problem));
            let strategies = strategies(picks, plugins).map_err(|mut found| problems.append(&mut found)).ok()?;
            Some(Serving { strategies, embedder: embedder.ok()?, always_may_fail: always_may_fail(picks, config) })
        };
        let usual = serve(&config.routing.usual);
        let models = config.routing.models.iter();
        let models = models.filter_map(|(name, picks)| Some((name.clone(), serve(picks)?))).collect();
        let overrides = if config.routing.request_overrides { generators(plugins) } else { BTreeMap::new() };
        match usual {
            Some(usual) if problems.is_empty() => Ok(Self { usual, models, overrides }),
            _ => {
                problems.dedup();
                Err(problems)
            }
        }
    }

    /// The plugins that decide what a request for `model` with these headers is answered with. While nothing can fail on
    /// purpose, the failure policy is not asked, and a built-in one is not even instantiated.
    pub fn strategies(&self, model: Option<&str>, headers: &HeaderMap) -> Result<Strategies, ApiError> {
        let serving = self.of(model);
        let mut strategies = serving.strategies.clone();
        if !serving.always_may_fail && !headers.contains_key(FORCING_HEADER) {
            strategies.failure_policy = None;
        }
        if let Some(mode) = headers.get(MODE_HEADER).filter(|_| !self.overrides.is_empty()) {
            let name = mode.to_str().unwrap_or_default();
            strategies.generator = self.overrides.get(name).cloned().ok_or_else(|| {
                let known = joined(self.overrides.keys().map(String::as_str).collect());
                ApiError::invalid_value(MODE_HEADER, format!("{mode:?}"), format!("no such mode; loaded are {known}"))
            })?;
        }
        Ok(strategies)
    }

    /// The plugin that makes vectors for `model`.
    pub fn embedder(&self, model: Option<&str>) -> Arc<dyn EmbeddingStrategy> {
        self.of(model).embedder.clone()
    }

    fn of(&self, model: Option<&str>) -> &Serving {
        model.and_then(|model| self.models.get(model)).unwrap_or(&self.usual)
    }
}

/// The plugins that answer for a model.
struct Serving {
    strategies: Strategies,
    embedder: Arc<dyn EmbeddingStrategy>,
    /// Whether every request is put to the failure policy, or only those that force a failure.
    always_may_fail: bool,
}

fn generators(plugins: &Plugins) -> BTreeMap<String, Arc<dyn ResponseStrategy>> {
    plugins
        .exporting(Interface::Generator)
        .filter_map(|name| Some((name.to_owned(), plugins.generator(name)?)))
        .collect()
}

fn embedder(picks: &ModelPlugins, plugins: &Plugins) -> Result<Arc<dyn EmbeddingStrategy>, String> {
    let picked = picks.embedding_plugin.as_str();
    let unknown = || unknown("embedding-plugin", picked, "makes vectors", &["embed"], plugins, Interface::Embedder);
    plugins.embedder(picked).ok_or_else(unknown)
}

fn unknown(
    key: &str,
    pick: &str,
    can: &str,
    builtins: &[&'static str],
    plugins: &Plugins,
    interface: Interface,
) -> String {
    let known = joined(builtins.iter().copied().chain(plugins.exporting(interface)).collect());
    format!("{key}: {pick:?} is no plugin that {can}; known are {known}")
}

fn strategies(picks: &ModelPlugins, plugins: &Plugins) -> Result<Strategies, Vec<String>> {
    let unknown = |key: &str, pick: &str, can: &str, builtins: &[&'static str], interface: Interface| {
        unknown(key, pick, can, builtins, plugins, interface)
    };
    let generator = plugins
        .generator(&picks.mode)
        .ok_or_else(|| unknown("mode", &picks.mode, "generates", &["echo", "random"], Interface::Generator));
    let tool_caller = plugins.tool_caller(&picks.tool_plugin).ok_or_else(|| {
        unknown("tool-plugin", &picks.tool_plugin, "calls tools", &["tool-call"], Interface::ToolCaller)
    });
    let failure_policy = plugins.failure_policy(&picks.failure_plugin).ok_or_else(|| {
        unknown("failure-plugin", &picks.failure_plugin, "selects failures", &["failure"], Interface::FailureSelector)
    });
    match (generator, tool_caller, failure_policy) {
        (Ok(generator), Ok(tool_caller), Ok(failure_policy)) => {
            Ok(Strategies { generator, tool_caller: Some(tool_caller), failure_policy: Some(failure_policy) })
        }
        (generator, tool_caller, failure_policy) => {
            Err([generator.err(), tool_caller.err(), failure_policy.err()].into_iter().flatten().collect())
        }
    }
}

/// A plugin of the user's own decides by itself; the built-in needs a rate or a rule.
fn always_may_fail(picks: &ModelPlugins, config: &Config) -> bool {
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
