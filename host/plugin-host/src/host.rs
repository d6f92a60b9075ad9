//! All loaded plugins of a server.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rehearsal_engine::{FailurePolicy, ResponseStrategy, Tokenizer, ToolCallStrategy};
use tracing::{debug, info};

use crate::contract::Interface;
use crate::error::{LoadError, LoadProblem};
use crate::info::PluginStatus;
use crate::loader;
use crate::needs::Needs;
use crate::observer::PluginObserver;
use crate::plugin::Plugin;
use crate::reload::Reloadable;
use crate::runtime::Runtime;
use crate::shared::PluginShared;
use crate::spec::PluginSpec;
use crate::strategy::PluginStrategy;

/// All loaded plugins, and the threads that run what takes long.
pub struct PluginHost {
    pub(crate) plugins: BTreeMap<String, Arc<Reloadable>>,
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
            let shared = PluginShared::new(name.clone(), &spec.limits, tokenizer.clone(), observers.clone());
            let shared = Arc::new(shared);
            match loader::load(&spec, &runtime, &shared).await {
                Ok(_) if plugins.contains_key(&name) => {
                    errors.push(LoadError::new(name, LoadProblem::NameTaken));
                }
                Ok(plugin) => {
                    info!(plugin = name, version = plugin.info.version, summary = plugin.info.summary, "plugin loaded");
                    needs = needs.union(&plugin.needs);
                    plugins.insert(name, Arc::new(Reloadable::new(spec, shared, plugin)));
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { plugins, needs: ArcSwap::from_pointee(needs), runtime }) } else { Err(errors) }
    }

    /// The strategy of the plugin `name`, if it is loaded and exports `generator`.
    pub fn generator(&self, name: &str) -> Option<Arc<dyn ResponseStrategy>> {
        Some(Arc::new(PluginStrategy::new(self.plugins.get(name)?, Interface::Generator)?))
    }

    /// The tool caller of the plugin `name`, if it is loaded and exports `tool-caller`.
    pub fn tool_caller(&self, name: &str) -> Option<Arc<dyn ToolCallStrategy>> {
        Some(Arc::new(PluginStrategy::new(self.plugins.get(name)?, Interface::ToolCaller)?))
    }

    /// The failure policy of the plugin `name`, if it is loaded and exports `failure-selector`.
    pub fn failure_policy(&self, name: &str) -> Option<Arc<dyn FailurePolicy>> {
        Some(Arc::new(PluginStrategy::new(self.plugins.get(name)?, Interface::FailureSelector)?))
    }

    /// Names of all plugins that export `interface`.
    pub fn exporting(&self, interface: Interface) -> impl Iterator<Item = &str> {
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
    pub(crate) async fn reload_one(&self, plugin: &Reloadable) -> Result<(), LoadError> {
        let widen = |fresh: &Plugin| self.needs.store(Arc::new(Needs::clone(&self.needs()).union(&fresh.needs)));
        plugin.reload(&self.runtime, widen).await
    }
}
