//! `GET /rehearsal/plugins`: what answers here. Ours, not vLLM's.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use rehearsal_plugin_host::{LastCallError, LastReload, PluginInfo, PluginStatus};
use serde::Serialize;

use crate::replica::Replica;
use crate::wire::errors::plugin_code;
use crate::wire::wall_clock;

/// Every loaded plugin.
pub async fn list(State(replica): State<Arc<Replica>>) -> Json<PluginList> {
    Json(PluginList { plugins: replica.plugins.statuses().map(Plugin::from).collect() })
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct PluginList {
    plugins: Vec<Plugin>,
}

#[derive(Debug, Serialize)]
struct Plugin {
    name: String,
    version: String,
    description: String,
    worlds: Vec<String>,
    exports: Vec<&'static str>,
    size: usize,
    sha256: String,
    last_reload: Option<Reload>,
    last_call_error: Option<CallError>,
}

#[derive(Debug, Serialize)]
struct Reload {
    outcome: &'static str,
    /// In UTC, as all moments here.
    at: String,
    sha256: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct CallError {
    at: String,
    sha256: String,
    code: String,
    message: String,
}

impl From<PluginStatus> for Plugin {
    fn from(PluginStatus { info, last_reload, last_call_error, .. }: PluginStatus) -> Self {
        let (worlds, exports) = (info.worlds().collect(), info.export_names());
        let last_reload = last_reload.map(|LastReload { ago, sha256, error }| Reload {
            outcome: if error.is_none() { "ok" } else { "failed" },
            at: before(ago),
            sha256,
            error,
        });
        let last_call_error = last_call_error.map(|LastCallError { ago, sha256, code, message, .. }| CallError {
            at: before(ago),
            sha256,
            code: plugin_code(code),
            message,
        });
        let PluginInfo { name, version, summary, size, sha256, .. } = info;
        Self { name, version, description: summary, worlds, exports, size, sha256, last_reload, last_call_error }
    }
}

/// The moment so long ago.
fn before(ago: Duration) -> String {
    wall_clock::utc(wall_clock::since_1970().saturating_sub(ago))
        .timestamp()
        .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
        .to_string()
}
