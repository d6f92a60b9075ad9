//! Observers: they are told what happens to plugins, and cannot answer, fail or delay anything.

use std::time::Duration;

use rehearsal_engine::StrategyError;

use crate::error::LoadError;
use crate::info::PluginInfo;

/// What happened to one plugin.
#[derive(Debug, Clone, Copy)]
pub enum PluginEvent<'a> {
    /// An instance came to be, `init` included; it took so long.
    Instantiated(Duration),
    /// A call went on, or began, elsewhere than on the thread that asked.
    Offloaded,
    /// A call ended; it took so long, waiting for its turn included.
    Ended(Duration, Result<(), &'a StrategyError>),
    /// A call was given up because its client went away.
    Abandoned,
    /// A line that it logged was dropped.
    LineDropped,
    /// A request's end was not told to it: too many wait for it already.
    EndingDropped,
    /// Another version of its component serves from now on.
    Reloaded(&'a PluginInfo),
    /// Another version of its component was found and is no good; the one that served serves on.
    NotReloaded(&'a LoadError),
}

/// Told of everything, from whatever thread it happens on. Must not block.
pub trait PluginObserver: Send + Sync {
    /// `event` happened to the plugin with this configured name.
    fn observe(&self, plugin: &str, event: PluginEvent<'_>);
}
