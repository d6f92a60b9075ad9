//! What can be told of a loaded plugin.

/// A loaded plugin, for people and for tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginInfo {
    /// Its configured name.
    pub name: String,
    /// The version that it says it has.
    pub version: String,
    /// What it says of itself, in one line.
    pub summary: String,
    /// What it can be: `generator`, `tool-caller`, `failure-selector`.
    pub exports: Vec<&'static str>,
    /// Of the component, in bytes.
    pub size: usize,
    /// Of the component, in lower-case hex.
    pub sha256: String,
}
