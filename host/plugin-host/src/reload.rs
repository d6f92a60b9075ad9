//! A configured plugin, whichever version of its component serves at the moment.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rehearsal_engine::StrategyError;
use tracing::{info, warn};

use crate::error::{LoadError, LoadProblem};
use crate::info::{PluginInfo, PluginStatus};
use crate::loader;
use crate::observer::PluginEvent;
use crate::plugin::Plugin;
use crate::runtime::Runtime;
use crate::shared::PluginShared;
use crate::spec::{PluginSource, PluginSpec};

/// What strategies are asked through. Calls in flight keep the version that they began with.
pub(crate) struct Reloadable {
    spec: PluginSpec,
    shared: Arc<PluginShared>,
    current: ArcSwap<Plugin>,
}

impl Reloadable {
    pub(crate) fn new(spec: PluginSpec, shared: Arc<PluginShared>, plugin: Plugin) -> Self {
        Self { spec, shared, current: ArcSwap::from_pointee(plugin) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// The version that serves.
    pub(crate) fn current(&self) -> Arc<Plugin> {
        self.current.load_full()
    }

    pub(crate) fn status(&self) -> PluginStatus {
        self.shared.status(self.current.load().info.clone())
    }

    /// Where its component is; `None` if it is inside this binary.
    pub(crate) fn file(&self) -> Option<&PluginSource> {
        match &self.spec.source {
            PluginSource::Embedded(_) => None,
            file => Some(file),
        }
    }

    pub(crate) fn sha256(&self) -> String {
        self.current.load().info.sha256.clone()
    }

    pub(crate) fn ended(&self, took: std::time::Duration, result: Result<(), &StrategyError>) {
        self.shared.tell(PluginEvent::Ended(took, result));
    }

    pub(crate) fn abandoned(&self) {
        self.shared.tell(PluginEvent::Abandoned);
    }

    /// Loads the component again and lets it serve, or says why the version that serves serves on. `before` is called
    /// with the new version just before its first call.
    pub(crate) async fn reload(&self, runtime: &Arc<Runtime>, before: impl FnOnce(&Plugin)) -> Result<(), LoadError> {
        let fresh = match self.load(runtime).await {
            Ok(fresh) => fresh,
            Err(error) => {
                warn!(%error, "not reloaded, the version that was loaded serves on");
                self.shared.tell(PluginEvent::NotReloaded(&error));
                return Err(error);
            }
        };
        before(&fresh);
        let PluginInfo { name, version, sha256, .. } = fresh.info.clone();
        let fresh = Arc::new(fresh);
        self.current.store(fresh.clone());
        info!(plugin = name, version, sha256, "plugin reloaded");
        self.shared.tell(PluginEvent::Reloaded(&fresh.info));
        Ok(())
    }

    /// A version that can do all that the one before could: it may have been picked for that.
    async fn load(&self, runtime: &Arc<Runtime>) -> Result<Plugin, LoadError> {
        let fresh = loader::load(&self.spec, runtime, &self.shared).await?;
        let exports = &fresh.info.exports;
        let gone = self.current.load().info.exports.iter().find(|export| !exports.contains(export)).copied();
        match gone {
            Some(export) => Err(LoadError::new(self.name(), LoadProblem::ExportGone(export.name()))),
            None => Ok(fresh),
        }
    }
}
