//! A configured plugin, whichever version of its component serves at the moment.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use rehearsal_engine::Tokenizer;
use serde_json::{Map, Value};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tracing::{info, warn};

use crate::error::{LoadError, LoadProblem};
use crate::info::PluginInfo;
use crate::loader;
use crate::observer::PluginEvent;
use crate::plugin::Version;
use crate::runtime::Runtime;
use crate::shared::PluginShared;
use crate::spec::{PluginSource, PluginSpec};

/// One for each configured plugin, whatever the number of replicas.
pub(crate) struct Reloadable {
    spec: ArcSwap<PluginSpec>,
    tokenizer: Arc<dyn Tokenizer>,
    current: ArcSwap<Version>,
    /// Held while another version is made to serve.
    changing: Arc<AsyncMutex<()>>,
    /// What the replicas share of it: told of new versions.
    replicas: Mutex<Vec<Weak<PluginShared>>>,
}

/// A version with its configuration, ready to serve.
pub(crate) struct Prepared {
    spec: PluginSpec,
    pub(crate) fresh: Version,
    _alone: OwnedMutexGuard<()>,
}

impl Reloadable {
    pub(crate) fn new(spec: PluginSpec, tokenizer: Arc<dyn Tokenizer>, version: Version) -> Self {
        Self {
            spec: ArcSwap::from_pointee(spec),
            tokenizer,
            current: ArcSwap::from_pointee(version),
            changing: Arc::default(),
            replicas: Mutex::default(),
        }
    }

    pub(crate) fn spec(&self) -> Arc<PluginSpec> {
        self.spec.load_full()
    }

    pub(crate) fn tokenizer(&self) -> &Arc<dyn Tokenizer> {
        &self.tokenizer
    }

    /// The version that serves.
    pub(crate) fn current(&self) -> Arc<Version> {
        self.current.load_full()
    }

    /// Where its component is; `None` if it is inside this binary.
    pub(crate) fn file(&self) -> Option<PluginSource> {
        match &self.spec.load().source {
            PluginSource::Embedded(_) => None,
            file => Some(file.clone()),
        }
    }

    pub(crate) fn sha256(&self) -> String {
        self.current.load().info.sha256.clone()
    }

    /// Tells a replica of new versions, for as long as it lives.
    pub(crate) fn attach(&self, shared: &Arc<PluginShared>) {
        let mut replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        replicas.retain(|replica| replica.strong_count() > 0);
        replicas.push(Arc::downgrade(shared));
    }

    /// Loads the component again and lets it serve, or says why the version that serves serves on. `before` is called
    /// with the new version just before its first call.
    pub(crate) async fn reload(&self, runtime: &Arc<Runtime>, before: impl FnOnce(&Version)) -> Result<(), LoadError> {
        let _alone = self.changing.lock().await;
        let fresh = match self.load(&self.spec(), runtime).await {
            Ok(fresh) => fresh,
            Err(error) => {
                // Between quotation marks: a guest's words must not look like lines of the log.
                let text = error.to_string();
                warn!(error = text, "not reloaded, the version that was loaded serves on");
                self.tell(PluginEvent::NotReloaded(&error));
                return Err(error);
            }
        };
        before(&fresh);
        let fresh = Arc::new(fresh);
        self.current.store(fresh.clone());
        let PluginInfo { name, version, sha256, .. } = &fresh.info;
        info!(plugin = name, version, sha256, "plugin reloaded");
        self.tell(PluginEvent::Reloaded(&fresh.info));
        Ok(())
    }

    /// The version that would serve with another configuration, tried with it. No other comes to serve as long as it is
    /// held.
    pub(crate) async fn with_config(
        &self,
        config: Map<String, Value>,
        runtime: &Arc<Runtime>,
    ) -> Result<Prepared, LoadError> {
        let alone = self.changing.clone().lock_owned().await;
        let spec = PluginSpec { config, ..PluginSpec::clone(&self.spec.load()) };
        let fresh = self.load(&spec, runtime).await?;
        Ok(Prepared { spec, fresh, _alone: alone })
    }

    /// Lets what [`Self::with_config`] has made serve.
    pub(crate) fn serve(&self, prepared: Prepared) {
        let Prepared { spec, fresh, _alone } = prepared;
        info!(plugin = spec.name, "plugin configured anew");
        let is_another = self.sha256() != fresh.info.sha256;
        self.spec.store(Arc::new(spec));
        let fresh = Arc::new(fresh);
        self.current.store(fresh.clone());
        if is_another {
            // Its file has changed meanwhile.
            self.tell(PluginEvent::Reloaded(&fresh.info));
        }
    }

    fn tell(&self, event: PluginEvent<'_>) {
        let replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner).clone();
        replicas.iter().filter_map(Weak::upgrade).for_each(|shared| shared.tell(event));
    }

    /// A version that can do all that the one before could: it may have been picked for that.
    async fn load(&self, spec: &PluginSpec, runtime: &Arc<Runtime>) -> Result<Version, LoadError> {
        let fresh = loader::load(spec, runtime, &self.tokenizer).await?;
        let exports = &fresh.info.exports;
        let gone = self.current.load().info.exports.iter().find(|export| !exports.contains(export)).copied();
        match gone {
            Some(export) => Err(LoadError::new(&spec.name, LoadProblem::ExportGone(export.name()))),
            None => Ok(fresh),
        }
    }
}
