//! A version of a plugin that passed its trial; and that version as one replica serves with it.

use std::sync::Arc;

use crate::engine_view::EngineView;
use crate::info::PluginInfo;
use crate::instances::{Instances, Prepared};
use crate::needs::Needs;
use crate::shared::PluginShared;

/// What every replica has in common. Never changes; a reload makes another.
pub(crate) struct Version {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) needs: Needs,
    pub(crate) info: PluginInfo,
}

/// A version with the state of one replica, and its instances.
pub(crate) struct Plugin {
    pub(crate) version: Arc<Version>,
    pub(crate) instances: Arc<Instances>,
}

impl Plugin {
    pub(crate) fn new(version: Arc<Version>, shared: Arc<PluginShared>) -> Self {
        let instances = Arc::new(Instances::new(version.prepared.clone(), shared));
        Self { version, instances }
    }

    /// Of the engine that it answers for.
    pub(crate) fn view(&self) -> &EngineView {
        &self.instances.shared.surroundings.view
    }
}
