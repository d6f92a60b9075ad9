//! Strategies that are WebAssembly components: loaded at start, called through the engine's traits.
//!
//! The way of a call: an engine trait, implemented in `strategy` → `convert` (domain to WIT records) → `call` (a permit, an
//! instance, a first slice on the caller's thread, the rest on the guest runtime) → `convert` back.
//!
//! Invariants:
//! - No other crate names wasmtime, and this one knows no HTTP.
//! - A component has no network, no files, no real clock and no true randomness: `sandbox`.
//! - Guest code never runs to its end on the threads that pace and serve: `call`.
//! - What breaks the contract is found at start, by one trial of everything a plugin exports: `loader`.

mod bindings;
mod call;
mod convert;
mod error;
mod imports;
mod info;
mod limits;
mod loader;
mod needs;
mod panic_text;
mod plugin;
mod runtime;
mod sandbox;
mod state;
mod strategy;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rehearsal_engine::{FailurePolicy, ResponseStrategy, Tokenizer, ToolCallStrategy};

pub use error::LoadError;
pub use info::PluginInfo;
pub use limits::Limits;
pub use needs::Needs;

use plugin::{Interfaces, Plugin};
use runtime::Runtime;
use strategy::PluginStrategy;

/// A plugin as the user configured it.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// What the configuration calls it: `[a-z0-9-]+`.
    pub name: String,
    /// Where its component is.
    pub source: PluginSource,
    /// Its configuration: a JSON object.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// What one call may use, and how many calls there may be.
    pub limits: Limits,
}

/// Where a component comes from.
#[derive(Debug, Clone)]
pub enum PluginSource {
    /// Inside this binary.
    Embedded(&'static [u8]),
    /// A file, and the SHA-256 of its bytes in lower-case hex if the user pinned it.
    File {
        /// Where it is.
        path: PathBuf,
        /// 64 hex digits.
        sha256: Option<String>,
    },
}

/// All loaded plugins, and the threads that run what takes long.
pub struct PluginHost {
    plugins: BTreeMap<String, Arc<Plugin>>,
    // Last, so that it outlives the plugins that use it.
    _runtime: Arc<Runtime>,
}

impl PluginHost {
    /// Loads and tries every plugin. Fails with everything that is wrong with any of them.
    pub async fn load(specs: Vec<PluginSpec>, tokenizer: Arc<dyn Tokenizer>) -> Result<Self, Vec<LoadError>> {
        let runtime = Runtime::new(specs.iter().map(|spec| &spec.limits)).map_err(|error| vec![error])?;
        let runtime = Arc::new(runtime);
        let mut plugins = BTreeMap::new();
        let mut errors = Vec::new();
        for spec in specs {
            let name = spec.name.clone();
            match loader::load(spec, &runtime, &tokenizer).await {
                Ok(plugin) if plugins.contains_key(&name) => {
                    errors.push(LoadError::new(plugin.name(), error::LoadProblem::NameTaken));
                }
                Ok(plugin) => {
                    plugins.insert(name, Arc::new(plugin));
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { plugins, _runtime: runtime }) } else { Err(errors) }
    }

    /// The strategy of the plugin `name`, if it is loaded and exports `generator`.
    pub fn generator(&self, name: &str) -> Option<Arc<dyn ResponseStrategy>> {
        let generator = PluginStrategy::generator(self.plugins.get(name)?)?;
        Some(Arc::new(generator))
    }

    /// The tool caller of the plugin `name`, if it is loaded and exports `tool-caller`.
    pub fn tool_caller(&self, name: &str) -> Option<Arc<dyn ToolCallStrategy>> {
        let tool_caller = PluginStrategy::tool_caller(self.plugins.get(name)?)?;
        Some(Arc::new(tool_caller))
    }

    /// The failure policy of the plugin `name`, if it is loaded and exports `failure-selector`.
    pub fn failure_policy(&self, name: &str) -> Option<Arc<dyn FailurePolicy>> {
        let failure_policy = PluginStrategy::failure_policy(self.plugins.get(name)?)?;
        Some(Arc::new(failure_policy))
    }

    /// Names of all plugins that export `failure-selector`.
    pub fn failure_policies(&self) -> impl Iterator<Item = &str> {
        self.exporting(|interfaces| interfaces.failure_selector.is_some())
    }

    /// What can be told of every plugin, in the order of their names.
    pub fn infos(&self) -> impl Iterator<Item = &PluginInfo> {
        self.plugins.values().map(|plugin| &plugin.info)
    }

    /// Whether the generator `name` sees to offered tools itself.
    pub fn sees_to_tools(&self, name: &str) -> bool {
        self.plugins.get(name).is_some_and(|plugin| plugin.needs().tools())
    }

    /// Names of all plugins that export `generator`.
    pub fn generators(&self) -> impl Iterator<Item = &str> {
        self.exporting(|interfaces| interfaces.generator.is_some())
    }

    /// Names of all plugins that export `tool-caller`.
    pub fn tool_callers(&self) -> impl Iterator<Item = &str> {
        self.exporting(|interfaces| interfaces.tool_caller.is_some())
    }

    fn exporting(&self, has: impl Fn(&Interfaces) -> bool) -> impl Iterator<Item = &str> {
        self.plugins.iter().filter(move |(_, plugin)| has(&plugin.interfaces)).map(|(name, _)| name.as_str())
    }

    /// What the plugins together want to be sent with each request.
    pub fn needs(&self) -> Needs {
        self.plugins.values().fold(Needs::default(), |needs, plugin| needs.union(plugin.needs()))
    }
}

#[cfg(test)]
mod tests;
