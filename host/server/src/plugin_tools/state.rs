//! `--state`: a file of what a plugin keeps between calls.

use std::io::ErrorKind;
use std::path::Path;

use rehearsal_plugin_host::Plugins;

use crate::wire::state_entries::{StateEntries, Written};

/// Lets the plugin have what the file keeps; nothing if there is no such file. Fails with everything that is wrong in it.
pub(super) fn restore(file: &Path, plugins: &Plugins, name: &str) -> Result<(), Vec<String>> {
    let at = |problem: &dyn std::fmt::Display| format!("{}: {problem}", file.display());
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|error| vec![at(&error)])?,
    };
    let kept: StateEntries = serde_json::from_str(&text).map_err(|error| vec![at(&error)])?;
    let restored = kept.entries.into_iter().map(|entry| entry.restore(plugins, name));
    let problems: Vec<_> = restored.filter_map(Result::err).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.iter().map(|problem| at(problem)).collect()) }
}

/// Writes what the plugin keeps.
pub(super) fn keep(file: &Path, plugins: &Plugins, name: &str) -> Result<(), Vec<String>> {
    let entries = plugins.state(name, "").unwrap_or_default().into_iter().map(Written::from).collect();
    let text = serde_json::to_string_pretty(&StateEntries { entries }).map_err(|error| vec![error.to_string()])?;
    std::fs::write(file, text + "\n").map_err(|error| vec![format!("cannot write {}: {error}", file.display())])
}
