//! `GET`, `PUT` and `DELETE /rehearsal/plugins/{name}/state`: what a plugin keeps between calls. Ours, not vLLM's.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::json;
use crate::wire::state_entries::{StateEntries, Written};

/// The answer.
#[derive(Debug, Serialize)]
pub struct PluginState {
    #[serde(flatten)]
    kept: StateEntries,
}

/// What is kept under keys that begin with `prefix`.
pub async fn list(
    State(replica): State<Arc<Replica>>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<PluginState>, ApiError> {
    let prefix = only("prefix", query)?.unwrap_or_default();
    let entries = replica.plugins.state(&name, &prefix).ok_or(ApiError::UnknownPlugin { name })?;
    Ok(Json(PluginState { kept: StateEntries { entries: entries.into_iter().map(Written::from).collect() } }))
}

/// Lets the plugin keep what the body has, beside what it keeps. Fails with the first entry that is none, or is too much; those
/// before it are kept.
pub async fn keep(
    State(replica): State<Arc<Replica>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    // Told before anything is said of the body.
    replica.plugins.state(&name, "").ok_or_else(|| ApiError::UnknownPlugin { name: name.clone() })?;
    let body = Value::Object(json::object(&headers, &body)?);
    let kept: StateEntries = serde_json::from_value(body).map_err(|error| ApiError::invalid(error.to_string()))?;
    for entry in kept.entries {
        let restored = entry.restore(&replica.plugins, &name);
        restored.map_err(|problem| ApiError::invalid_param("entries", problem))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets `key`, or everything.
pub async fn forget(
    State(replica): State<Arc<Replica>>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<StatusCode, ApiError> {
    let key = only("key", query)?;
    replica.plugins.forget_state(&name, key.as_deref()).ok_or(ApiError::UnknownPlugin { name })?;
    Ok(StatusCode::NO_CONTENT)
}

/// The value of the one parameter that is known.
fn only(known: &str, query: Vec<(String, String)>) -> Result<Option<String>, ApiError> {
    let mut found = None;
    for (name, value) in query {
        if name != known {
            return Err(ApiError::invalid(format!("{name:?} means nothing here; known is {known}")));
        }
        found = Some(value);
    }
    Ok(found)
}
