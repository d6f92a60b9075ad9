//! A plugin as one replica has it: the version that serves, with the state and the observers of the replica.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rehearsal_engine::StrategyError;
use rehearsal_sync::BoundedCount;

use crate::contract::Interface;
use crate::info::PluginStatus;
use crate::observer::PluginEvent;
use crate::plugin::{Plugin, Version};
use crate::reload::Reloadable;
use crate::shared::{PluginShared, Surroundings};
use crate::state::PluginState;

/// Bytes of the texts of endings that may wait to be told to one plugin. Clients choose them.
const MOST_UNTOLD_BYTES: usize = 4 << 20;

/// What strategies ask. Calls in flight keep the version that they began with.
pub(crate) struct ReplicaPlugin {
    source: Arc<Reloadable>,
    shared: Arc<PluginShared>,
    /// Text of the endings that wait to be told to it, and of the one that it is told.
    pub(crate) untold_bytes: BoundedCount,
    /// Made anew when another version serves.
    serving: ArcSwap<Plugin>,
}

impl ReplicaPlugin {
    pub(crate) fn new(source: Arc<Reloadable>, surroundings: Surroundings) -> Self {
        let spec = source.spec();
        let shared = PluginShared::new(spec.name.clone(), &spec.limits, source.tokenizer().clone(), surroundings);
        let shared = Arc::new(shared);
        source.attach(&shared);
        let serving = ArcSwap::from_pointee(Plugin::new(source.current(), shared.clone()));
        Self { source, shared, untold_bytes: BoundedCount::new(MOST_UNTOLD_BYTES), serving }
    }

    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Whether it is inside this binary.
    pub(crate) fn is_builtin(&self) -> bool {
        self.source.file().is_none()
    }

    /// Whether the version that serves exports `interface`.
    pub(crate) fn exports(&self, interface: Interface) -> bool {
        self.source.current().info.exports.contains(&interface)
    }

    /// The version that serves.
    pub(crate) fn current(&self) -> Arc<Plugin> {
        let serving = self.serving.load_full();
        let version = self.source.current();
        if Arc::ptr_eq(&serving.version, &version) {
            return serving;
        }
        // Two calls may both do this; the instances of one of them are few, and soon gone.
        let fresh = Arc::new(Plugin::new(version, self.shared.clone()));
        self.serving.store(fresh.clone());
        fresh
    }

    /// What it keeps between calls.
    pub(crate) fn state(&self) -> &PluginState {
        &self.shared.state
    }

    pub(crate) fn status(&self) -> PluginStatus {
        self.shared.status(self.source.current().info.clone())
    }

    /// A call of this version ended.
    pub(crate) fn ended(&self, version: &Version, took: Duration, result: Result<(), &StrategyError>) {
        if let Err(StrategyError::Plugin(fault)) = result {
            self.shared.failed(&version.info.sha256, fault);
        }
        self.shared.tell(PluginEvent::Ended(took, result));
    }

    pub(crate) fn tell(&self, event: PluginEvent<'_>) {
        self.shared.tell(event);
    }
}
