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

mod account;
mod bindings;
mod call;
mod convert;
mod error;
mod imports;
mod info;
mod limits;
mod loader;
mod needs;
mod observer;
mod panic_text;
mod plugin;
mod reload;
mod runtime;
mod sandbox;
mod state;
mod strategy;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rehearsal_engine::{FailurePolicy, ResponseStrategy, Tokenizer, ToolCallStrategy};
use tracing::{debug, info};

pub use error::LoadError;
pub use info::{PluginInfo, PluginStatus};
pub use limits::Limits;
pub use needs::Needs;
pub use observer::{PluginEvent, PluginObserver};
pub use watch::Watch;

use account::Account;
use arc_swap::ArcSwap;
use plugin::Plugin;
use reload::Reloadable;
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
    plugins: BTreeMap<String, Arc<Reloadable>>,
    needs: ArcSwap<Needs>,
    // Last, so that it outlives the plugins that use it.
    runtime: Arc<Runtime>,
}

impl PluginHost {
    /// Loads and tries every plugin. Fails with everything that is wrong with any of them. `observers` are told of
    /// every event after that, in this order.
    pub async fn load(
        specs: Vec<PluginSpec>,
        tokenizer: Arc<dyn Tokenizer>,
        observers: Vec<Arc<dyn PluginObserver>>,
    ) -> Result<Self, Vec<LoadError>> {
        let runtime = Runtime::new(specs.iter().map(|spec| &spec.limits)).map_err(|error| vec![error])?;
        let runtime = Arc::new(runtime);
        let mut plugins = BTreeMap::new();
        let mut needs = Needs::default();
        let mut errors = Vec::new();
        for spec in specs {
            let name = spec.name.clone();
            let account = Account::new(name.clone(), &spec.limits, tokenizer.clone(), observers.clone());
            let account = Arc::new(account);
            match loader::load(&spec, &runtime, &account).await {
                Ok(_) if plugins.contains_key(&name) => {
                    errors.push(LoadError::new(name, error::LoadProblem::NameTaken));
                }
                Ok(plugin) => {
                    info!(plugin = name, version = plugin.info.version, summary = plugin.info.summary, "plugin loaded");
                    needs = needs.union(plugin.needs());
                    plugins.insert(name, Arc::new(Reloadable::new(spec, account, plugin)));
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { plugins, needs: ArcSwap::from_pointee(needs), runtime }) } else { Err(errors) }
    }

    /// The strategy of the plugin `name`, if it is loaded and exports `generator`.
    pub fn generator(&self, name: &str) -> Option<Arc<dyn ResponseStrategy>> {
        Some(Arc::new(PluginStrategy::new(self.plugins.get(name)?, "generator")?))
    }

    /// The tool caller of the plugin `name`, if it is loaded and exports `tool-caller`.
    pub fn tool_caller(&self, name: &str) -> Option<Arc<dyn ToolCallStrategy>> {
        Some(Arc::new(PluginStrategy::new(self.plugins.get(name)?, "tool-caller")?))
    }

    /// The failure policy of the plugin `name`, if it is loaded and exports `failure-selector`.
    pub fn failure_policy(&self, name: &str) -> Option<Arc<dyn FailurePolicy>> {
        Some(Arc::new(PluginStrategy::new(self.plugins.get(name)?, "failure-selector")?))
    }

    /// Names of all plugins that export `interface`: `generator`, `tool-caller` or `failure-selector`.
    pub fn exporting(&self, interface: &str) -> impl Iterator<Item = &str> {
        let exports = move |plugin: &Reloadable| plugin.current().info.exports.contains(&interface);
        self.plugins.iter().filter(move |(_, plugin)| exports(plugin)).map(|(name, _)| name.as_str())
    }

    /// Every plugin as it is at this moment, in the order of their names.
    pub fn statuses(&self) -> impl Iterator<Item = PluginStatus> {
        self.plugins.values().map(|plugin| plugin.status())
    }

    /// What the plugins together want to be sent with each request.
    pub fn needs(&self) -> Arc<Needs> {
        self.needs.load_full()
    }

    /// Loads every component again whose file has another content than what serves. A version that is no good changes
    /// nothing but a line in the log, `last_error` and what observers are told.
    pub async fn reload(&self) {
        for plugin in self.plugins.values() {
            let Some(source) = plugin.file() else { continue };
            match loader::read(source.clone()).await {
                Ok(image) if image.sha256 == plugin.sha256() => debug!(plugin = plugin.name(), "unchanged"),
                // What is wrong was logged and counted.
                _ => drop(self.reload_one(plugin).await),
            }
        }
    }

    /// What a new version needs is sent from its first call on; what an old one needed is sent on, which costs little.
    async fn reload_one(&self, plugin: &Reloadable) -> Result<(), LoadError> {
        let widen = |fresh: &Plugin| self.needs.store(Arc::new(Needs::clone(&self.needs()).union(fresh.needs())));
        plugin.reload(&self.runtime, widen).await
    }
}

#[cfg(test)]
mod tests;
