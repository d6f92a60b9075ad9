//! `POST` and `DELETE /fake_metrics`: metrics that are made up, and measured ones again. The first is the reference
//! simulator's.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::json;

/// Makes metrics up from now on, or changes those that are; what the body lacks stays.
pub async fn set(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, ApiError> {
    let changes = json::object(&headers, &body)?;
    replace(&replica, || replica.metrics.merged(changes).into()).await
}

/// Tells again what is measured.
pub async fn clear(State(replica): State<Arc<Replica>>) -> Result<StatusCode, ApiError> {
    replace(&replica, || Value::Null).await
}

async fn replace(replica: &Replica, fake_metrics: impl FnOnce() -> Value) -> Result<StatusCode, ApiError> {
    let changed = replica.reconfigure(|| Map::from_iter([("fake-metrics".to_owned(), fake_metrics())])).await;
    changed.map_err(|problems| ApiError::invalid(problems.join("; "))).map(|()| StatusCode::NO_CONTENT)
}
