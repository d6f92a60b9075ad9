//! What can be told of a loaded plugin.

use std::time::Duration;

use crate::contract::Interface;

/// A loaded plugin, for people and for tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginInfo {
    /// Its configured name.
    pub name: String,
    /// The version that it says it has.
    pub version: String,
    /// What it says of itself, in one line.
    pub summary: String,
    /// What it can be.
    pub exports: Vec<Interface>,
    /// Of the component, in bytes.
    pub size: usize,
    /// Of the component, in lower-case hex.
    pub sha256: String,
}

impl PluginInfo {
    /// The worlds of the contract that it fills, each with the contract's version.
    pub fn worlds(&self) -> impl Iterator<Item = String> {
        self.exports.iter().map(|interface| interface.world())
    }

    /// The contract's names of what it can be.
    pub fn export_names(&self) -> Vec<&'static str> {
        self.exports.iter().map(|interface| interface.name()).collect()
    }
}

/// A plugin as it is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginStatus {
    /// The version that serves.
    pub info: PluginInfo,
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// The most memory that any instance has had, in bytes.
    pub peak_memory: usize,
    /// Bytes of what it keeps between calls.
    pub state: usize,
    /// The last time that another content was found in its file.
    pub last_reload: Option<LastReload>,
    /// The last fault of a call, whichever version's.
    pub last_call_error: Option<LastCallError>,
}

/// What came of another content of a plugin's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReload {
    /// How long ago.
    pub ago: Duration,
    /// Of what was found, in lower-case hex; `None` if it could not be read.
    pub sha256: Option<String>,
    /// Why it does not serve; `None` if it does.
    pub error: Option<String>,
}

/// How a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCallError {
    /// How long ago.
    pub ago: Duration,
    /// Of the version that was called.
    pub sha256: String,
    /// As a client is told it, without `plugin_`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What the plugin printed last in that call.
    pub said: String,
}
