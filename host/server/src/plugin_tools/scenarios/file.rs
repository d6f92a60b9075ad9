//! A scenario as it is written.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::expect::{self, Expect};
use crate::plugin_tools::in_process::MODEL;
use crate::wire::state_entries::Written;

/// The largest scenario.
const MOST_BYTES: u64 = 4 << 20;

/// Requests that follow one another, on a server of their own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// The plugin's configuration, instead of the one it is tested with.
    #[serde(default)]
    pub(super) config: Option<Map<String, Value>>,
    /// Further flags of the server.
    #[serde(default)]
    pub(super) flags: Vec<String>,
    /// What the plugin keeps before the first request.
    #[serde(default)]
    pub(super) state: Vec<Written>,
    pub(super) steps: Vec<Step>,
}

/// One request and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// How long after the one before, by the engine's clock.
    #[serde(default, deserialize_with = "expect::time")]
    pub(super) after: Duration,
    /// What the user says in a chat, or the body of a chat or text completion.
    request: Asked,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Text(String),
    Body(Map<String, Value>),
}

impl Scenario {
    /// Fails with the file, and with the line of what is wrong in it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let at = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
        let text = rehearsal_plugin_host::regular_file::read_text(path, MOST_BYTES).map_err(|error| at(&error))?;
        let scenario: Self = serde_yaml_ng::from_str(&text).map_err(|error| at(&error))?;
        if scenario.steps.is_empty() {
            return Err(at(&"steps: there is none"));
        }
        for (index, step) in scenario.steps.iter().enumerate() {
            step.expect.check().map_err(|problem| at(&format!("step {}: {problem}", index + 1)))?;
        }
        Ok(scenario)
    }
}

impl Step {
    /// The body that is sent.
    pub(super) fn body(&self) -> Value {
        match &self.request {
            Asked::Text(text) => json!({ "model": MODEL, "messages": [{ "role": "user", "content": text }] }),
            Asked::Body(body) => {
                let mut body = body.clone();
                body.entry("model").or_insert(MODEL.into());
                body.into()
            }
        }
    }
}
