//! All loaded plugins of a process, and of each of its replicas.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rehearsal_engine::{
    EmbeddingStrategy, EngineObserver, FailurePolicy, ResponseStrategy, Tokenizer, ToolCallStrategy,
};
use tracing::{debug, info};

use crate::contract::Interface;
use crate::endings::Endings;
use crate::error::{LoadError, LoadProblem};
use crate::info::PluginStatus;
use crate::loader;
use crate::needs::Needs;
use crate::plugin::Version;
use crate::reload::{Prepared, Reloadable};
use crate::replica::ReplicaPlugin;
use crate::runtime::Runtime;
use crate::shared::Surroundings;
use crate::spec::PluginSpec;
use crate::state::StateEntry;
use crate::strategy::PluginStrategy;

/// Every plugin, loaded once, and the threads that run what takes long. One for each process: it takes address space for
/// all instances that there may be.
pub struct PluginHost {
    pub(crate) plugins: BTreeMap<String, Arc<Reloadable>>,
    needs: ArcSwap<Needs>,
    // Last, so that it outlives the plugins that use it.
    runtime: Arc<Runtime>,
}

/// The plugins of one replica: each with a state, turns and observers of the replica's own.
pub struct Plugins {
    plugins: BTreeMap<String, Arc<ReplicaPlugin>>,
    host: Arc<PluginHost>,
}

impl PluginHost {
    /// Loads and tries every plugin, for so many replicas. Fails with everything that is wrong with any of them.
    pub async fn load(
        specs: Vec<PluginSpec>,
        tokenizer: Arc<dyn Tokenizer>,
        n_replicas: u32,
    ) -> Result<Self, Vec<LoadError>> {
        let runtime = Runtime::new(specs.iter().map(|spec| &spec.limits), n_replicas).map_err(|error| vec![error])?;
        let runtime = Arc::new(runtime);
        let mut plugins = BTreeMap::new();
        let mut needs = Needs::default();
        let mut errors = Vec::new();
        for spec in specs {
            let name = spec.name.clone();
            match loader::load(&spec, &runtime, &tokenizer).await {
                Ok(_) if plugins.contains_key(&name) => errors.push(LoadError::new(name, LoadProblem::NameTaken)),
                Ok(version) => {
                    let (said, summary) = (&version.info.version, &version.info.summary);
                    info!(plugin = name, version = said, summary, "plugin loaded");
                    needs = needs.union(&version.needs);
                    plugins.insert(name, Arc::new(Reloadable::new(spec, tokenizer.clone(), version)));
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { plugins, needs: ArcSwap::from_pointee(needs), runtime }) } else { Err(errors) }
    }

    /// The plugins for one replica.
    pub fn replica(self: &Arc<Self>, surroundings: &Surroundings) -> Plugins {
        let plugin = |(name, source): (&String, &Arc<Reloadable>)| {
            (name.clone(), Arc::new(ReplicaPlugin::new(source.clone(), surroundings.clone())))
        };
        Plugins { plugins: self.plugins.iter().map(plugin).collect(), host: self.clone() }
    }

    /// Loads every component again whose file has another content than what serves. A version that is no good changes
    /// nothing but a line in the log, `last_reload` and what observers are told.
    pub async fn reload(&self) {
        for (name, plugin) in &self.plugins {
            let Some(source) = plugin.file() else { continue };
            match loader::read(source).await {
                Ok(image) if image.sha256 == plugin.sha256() => debug!(plugin = name, "unchanged"),
                // What is wrong was logged and counted.
                _ => drop(self.reload_one(plugin).await),
            }
        }
    }

    /// What a new version needs is sent from its first call on; what an old one needed is sent on, which costs little.
    pub(crate) async fn reload_one(&self, plugin: &Reloadable) -> Result<(), LoadError> {
        let widen = |fresh: &Version| {
            self.needs.store(Arc::new(Needs::clone(&self.needs.load()).union(&fresh.needs)));
        };
        plugin.reload(&self.runtime, widen).await
    }
}

/// A plugin with another configuration, ready to serve.
pub struct Reconfigured {
    plugin: Arc<Reloadable>,
    prepared: Prepared,
    host: Arc<PluginHost>,
}

impl Reconfigured {
    /// Lets it serve, in all replicas; calls in flight keep what they began with.
    pub fn serve(self) {
        self.host.needs.store(Arc::new(Needs::clone(&self.host.needs.load()).union(&self.prepared.fresh.needs)));
        self.plugin.serve(self.prepared);
    }
}

impl Plugins {
    /// The plugin of `spec`'s name with `spec`'s configuration, tried with it; `None` if it has that already, or is not
    /// loaded.
    pub async fn reconfigured(&self, spec: &PluginSpec) -> Result<Option<Reconfigured>, LoadError> {
        let Some(plugin) = self.host.plugins.get(&spec.name).filter(|plugin| plugin.spec().config != spec.config)
        else {
            return Ok(None);
        };
        let prepared = plugin.with_config(spec.config.clone(), &self.host.runtime).await?;
        Ok(Some(Reconfigured { plugin: plugin.clone(), prepared, host: self.host.clone() }))
    }

    /// What tells those of them that export `observer` how requests ended. To be called once.
    pub fn endings(&self) -> Arc<dyn EngineObserver> {
        let others = self.plugins.values().filter(|plugin| !plugin.is_builtin()).cloned();
        Arc::new(Endings::new(others, self.host.runtime.guest_threads()))
    }

    /// Whether a plugin is still to be told how requests ended, or is being told.
    pub fn has_endings_to_tell(&self) -> bool {
        self.plugins.values().any(|plugin| plugin.untold_bytes.taken() > 0)
    }

    /// What the plugin `name` keeps under keys that begin so; `None` if it is not loaded.
    pub fn state(&self, name: &str, prefix: &str) -> Option<Vec<StateEntry>> {
        Some(self.plugins.get(name)?.state().list(prefix))
    }

    /// Lets the plugin `name` keep this too. Fails if that is more than it may keep, or if it is not loaded.
    pub fn restore_state(&self, name: &str, entry: StateEntry) -> Result<(), String> {
        let plugin = self.plugins.get(name).ok_or_else(|| format!("there is no plugin {name:?}"))?;
        plugin.state().restore(entry)
    }

    /// Lets the plugin `name` forget a key, or everything; `None` if it is not loaded.
    pub fn forget_state(&self, name: &str, key: Option<&str>) -> Option<()> {
        let state = self.plugins.get(name)?.state();
        match key {
            Some(key) => state.remove(key),
            None => state.clear(),
        }
        Some(())
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

    /// The embedder of the plugin `name`, if it is loaded and exports `embedder`.
    pub fn embedder(&self, name: &str) -> Option<Arc<dyn EmbeddingStrategy>> {
        Some(Arc::new(PluginStrategy::new(self.plugins.get(name)?, Interface::Embedder)?))
    }

    /// Names of all plugins that export `interface`.
    pub fn exporting(&self, interface: Interface) -> impl Iterator<Item = &str> {
        self.plugins.iter().filter(move |(_, plugin)| plugin.exports(interface)).map(|(name, _)| name.as_str())
    }

    /// Every plugin as it is at this moment, in the order of their names.
    pub fn statuses(&self) -> impl Iterator<Item = PluginStatus> {
        self.plugins.values().map(|plugin| plugin.status())
    }

    /// What the plugins together want to be sent with each request.
    pub fn needs(&self) -> Arc<Needs> {
        self.host.needs.load_full()
    }
}
