//! `POST /reset_prefix_cache`: one of vLLM's endpoints for developers, there only with `VLLM_SERVER_DEV_MODE=1`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use crate::app::App;

/// What may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    reset_running_requests: bool,
    /// There is no cache elsewhere.
    #[serde(rename = "reset_external")]
    _reset_external: bool,
}

/// Whether anything was forgotten.
#[derive(Debug, Serialize)]
pub struct Outcome {
    success: bool,
}

/// Forgets what the KV cache has, unless running requests hold some of it and are not to compute it again.
///
/// A body means nothing, but is read: a connection with an unread one is closed.
pub async fn reset(State(app): State<Arc<App>>, Query(options): Query<Options>, _body: Bytes) -> Json<Outcome> {
    Json(Outcome { success: app.engine.reset_prefix_cache(options.reset_running_requests) })
}
