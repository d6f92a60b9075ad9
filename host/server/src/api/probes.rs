//! Health, version: what probes ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::replica::{Replica, VLLM_VERSION};

/// `GET /health`, and `GET` or `POST /ping`, as SageMaker asks: 200 with an empty body. The server only listens once it can answer.
pub async fn healthy() -> StatusCode {
    StatusCode::OK
}

/// `GET /ready`, `/health/ready`: the same, but 503 for as long as `startup-duration` says.
pub async fn ready(State(replica): State<Arc<Replica>>) -> StatusCode {
    if replica.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// `GET /version`: vLLM's, because clients decide by it.
pub async fn version() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "version": VLLM_VERSION }))
}
