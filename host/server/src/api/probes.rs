//! Health, version: what probes ask.

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::error;
use crate::app::VLLM_VERSION;

/// `GET /health`, `/health/ready`, `/ready`: 200 with an empty body. We only listen once we can answer.
pub async fn healthy() -> StatusCode {
    StatusCode::OK
}

/// `GET` or `POST /ping`, as SageMaker asks.
pub async fn ping(method: Method) -> Response {
    match method {
        Method::GET | Method::HEAD | Method::POST => StatusCode::OK.into_response(),
        _ => error::method_not_allowed().await,
    }
}

/// `GET /version`: vLLM's, because clients decide by it.
pub async fn version() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "version": VLLM_VERSION }))
}
