//! `POST /reset_prefix_cache`: one of vLLM's endpoints for developers, there only with `VLLM_SERVER_DEV_MODE=1`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use serde::Serialize;

use crate::replica::Replica;
use crate::wire::errors::ApiError;

/// Takes running requests their blocks away first.
const RESET_RUNNING: &str = "reset_running_requests";

/// Whether anything was forgotten.
#[derive(Debug, Serialize)]
pub struct Outcome {
    success: bool,
}

/// Forgets what the KV cache has, unless running requests hold some of it and are not to compute it again. There is no
/// external cache to forget, whatever `reset_external` says.
///
/// A body means nothing, but is read: a connection with an unread one is closed.
pub async fn reset(
    State(replica): State<Arc<Replica>>,
    Query(options): Query<BTreeMap<String, String>>,
    _body: Bytes,
) -> Result<Json<Outcome>, ApiError> {
    let reset_running = options.get(RESET_RUNNING).map_or(Ok(false), |value| switch(value))?;
    Ok(Json(Outcome { success: replica.engine.reset_prefix_cache(reset_running) }))
}

/// As pydantic reads a boolean of a query.
fn switch(value: &str) -> Result<bool, ApiError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" | "t" | "y" => Ok(true),
        "" | "false" | "0" | "off" | "no" | "f" | "n" => Ok(false),
        _ => Err(ApiError::invalid_value(RESET_RUNNING, value, "expected true or false")),
    }
}
