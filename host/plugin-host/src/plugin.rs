//! One version of a plugin that passed its trial.

use std::sync::Arc;

use crate::info::PluginInfo;
use crate::instances::Instances;
use crate::needs::Needs;

/// What is asked, what it wants to be sent, and what can be told of it. Never changes; a reload makes another.
pub(crate) struct Plugin {
    pub(crate) instances: Arc<Instances>,
    pub(crate) needs: Needs,
    pub(crate) info: PluginInfo,
}
