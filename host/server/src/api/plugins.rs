//! `GET /rehearsal/plugins`: what answers here. Ours, not vLLM's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use rehearsal_plugin_host::{PluginInfo, PluginStatus};
use serde::Serialize;

use crate::replica::Replica;

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
    last_error: Option<String>,
}

impl From<PluginStatus> for Plugin {
    fn from(PluginStatus { info, last_error, .. }: PluginStatus) -> Self {
        let (worlds, exports) = (info.worlds().collect(), info.export_names());
        let PluginInfo { name, version, summary, size, sha256, .. } = info;
        Self { name, version, description: summary, worlds, exports, size, sha256, last_error }
    }
}
