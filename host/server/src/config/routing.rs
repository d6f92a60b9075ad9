//! Which plugins answer for which model.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Plugins:
    MODE: String = Spec::one("mode", "PLUGIN").default("random")
        .help("the plugin that answers: random, echo, or one given with --plugin"), values::name;
    TOOL_PLUGIN: String = Spec::one("tool-plugin", "PLUGIN").default("tool-call")
        .help("the plugin that calls offered tools"), values::name;
    FAILURE_PLUGIN: String = Spec::one("failure-plugin", "PLUGIN").default("failure")
        .help("the plugin that decides what fails on purpose"), values::name;
    EMBEDDING_PLUGIN: String = Spec::one("embedding-plugin", "PLUGIN").default("embed")
        .help("the plugin that makes vectors of texts"), values::name;
    MODELS: BTreeMap<String, Map<String, Value>> = Spec::file_only("models")
        .help("by served name or adapter, the mode, tool-plugin, failure-plugin and embedding-plugin that answer for it"), models;
    REQUEST_OVERRIDES: bool = Spec::switch("request-overrides").default("true")
        .help("let the header x-rehearsal-mode pick the plugin that answers"), values::switch;
}

/// Which plugins answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingConfig {
    /// For models without an entry of their own.
    pub usual: ModelPlugins,
    /// By served name or adapter: the plugins that answer for it instead.
    pub models: BTreeMap<String, ModelPlugins>,
    /// Whether a header may pick the plugin that answers.
    pub request_overrides: bool,
}

/// Which plugin does what for a model, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPlugins {
    /// Makes the output.
    pub mode: String,
    /// Calls offered tools.
    pub tool_plugin: String,
    /// Decides what fails on purpose.
    pub failure_plugin: String,
    /// Makes vectors.
    pub embedding_plugin: String,
}

impl RoutingConfig {
    /// Names of all plugins that may be needed. A header may pick any generator, the built-in ones included.
    pub(super) fn plugins(&self) -> Vec<&str> {
        let all = std::iter::once(&self.usual).chain(self.models.values());
        let named = all.flat_map(|plugins| {
            [&*plugins.mode, &*plugins.tool_plugin, &*plugins.failure_plugin, &*plugins.embedding_plugin]
        });
        let for_headers = ["echo", "random"].into_iter().filter(|_| self.request_overrides);
        named.chain(for_headers).collect()
    }
}

/// `served`: every name that a request may ask for.
pub(super) fn read(reader: &mut Reader<'_>, served: &[&str]) -> RoutingConfig {
    let usual = ModelPlugins {
        mode: reader.read(&MODE),
        tool_plugin: reader.read(&TOOL_PLUGIN),
        failure_plugin: reader.read(&FAILURE_PLUGIN),
        embedding_plugin: reader.read(&EMBEDDING_PLUGIN),
    };
    let mut models = BTreeMap::new();
    for (name, entry) in reader.given(&MODELS).unwrap_or_default() {
        if !served.contains(&name.as_str()) {
            reader.refuse(&MODELS, format!("{name:?} is not served; served are {}", served.join(", ")));
        }
        match usual.changed(&entry) {
            Ok(plugins) => drop(models.insert(name, plugins)),
            Err(problem) => reader.refuse(&MODELS, format!("{name}: {problem}")),
        }
    }
    RoutingConfig { usual, models, request_overrides: reader.read(&REQUEST_OVERRIDES) }
}

impl ModelPlugins {
    /// The same, but for what an entry of `models:` says.
    fn changed(&self, entry: &Map<String, Value>) -> Result<Self, String> {
        let mut changed = self.clone();
        for (key, value) in entry {
            let plugin = match key.as_str() {
                "mode" => &mut changed.mode,
                "tool-plugin" => &mut changed.tool_plugin,
                "failure-plugin" => &mut changed.failure_plugin,
                "embedding-plugin" => &mut changed.embedding_plugin,
                _ => {
                    let known = "mode, tool-plugin, failure-plugin, embedding-plugin";
                    return Err(format!("unknown key {key:?}; known are {known}"));
                }
            };
            *plugin = values::name(value).map_err(|problem| format!("{key}: {problem}"))?;
        }
        Ok(changed)
    }
}

/// `models:` of a file.
fn models(value: &Value) -> Result<BTreeMap<String, Map<String, Value>>, String> {
    let entries = value.as_object().ok_or_else(|| format!("{value} is not a mapping of served names to plugins"))?;
    let entry = |(name, entry): (&String, &Value)| match entry {
        Value::Object(entry) => Ok((name.clone(), entry.clone())),
        other => Err(format!("{name}: {other} is not a mapping")),
    };
    entries.iter().map(entry).collect()
}
