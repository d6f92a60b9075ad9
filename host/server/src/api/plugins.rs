//! `GET /rehearsal/plugins`: what answers here. Ours, not vLLM's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use rehearsal_plugin_host::PluginInfo;
use serde::Serialize;

use crate::app::App;

/// Every loaded plugin.
pub async fn list(State(app): State<Arc<App>>) -> Json<PluginList> {
    Json(PluginList { plugins: app.plugins.infos().map(Plugin::new).collect() })
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
    summary: String,
    exports: Vec<&'static str>,
    size: usize,
    sha256: String,
}

impl Plugin {
    fn new(info: &PluginInfo) -> Self {
        let PluginInfo { name, version, summary, exports, size, sha256 } = info.clone();
        Self { name, version, summary, exports, size, sha256 }
    }
}
