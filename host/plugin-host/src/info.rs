//! What can be told of a loaded plugin.

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
    /// The last fault of a call, or why the last reload was none.
    pub last_error: Option<String>,
}
