//! `GET` and `POST /admin/config`: the configuration in force, and changes of it while the server runs. The reference
//! simulator's.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Map, Value};

use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::json;

/// Every key with its value.
pub async fn get(State(replica): State<Arc<Replica>>) -> Json<Map<String, Value>> {
    Json(replica.live.shown().await)
}

/// Changes some keys at once, or none if anything is wrong with any; answers with all.
pub async fn change(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let changes = json::object(&headers, &body)?;
    replica.reconfigure(|| changes).await.map_err(|problems| ApiError::invalid(problems.join("; ")))?;
    Ok(Json(replica.live.shown().await))
}
