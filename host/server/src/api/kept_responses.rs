//! `GET /v1/responses/{id}` and `POST /v1/responses/{id}/cancel`: responses that were kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use serde_json::Value;

use crate::replica::Replica;
use crate::response_store::NotCancelled;
use crate::wire::errors::ApiError;

/// The response, as its client got it, or as far as it is.
pub async fn get(
    State(replica): State<Arc<Replica>>,
    id: Result<Path<String>, PathRejection>,
    Query(options): Query<BTreeMap<String, String>>,
) -> Result<Json<Value>, ApiError> {
    let id = text(id);
    let stored = replica.responses.get(&id).ok_or(ApiError::UnknownResponse { id })?;
    if options.get("stream").is_some_and(|stream| stream == "true") {
        let message = "the events of a response are not kept: ask for it without `stream`".into();
        return Err(ApiError::InvalidRequest { message, param: "stream" });
    }
    Ok(Json(stored.object))
}

/// Ends a response that is being made in the background.
pub async fn cancel(
    State(replica): State<Arc<Replica>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let id = text(id);
    replica.responses.cancel(&id).map(Json).map_err(|why| match why {
        NotCancelled::Unknown => ApiError::UnknownResponse { id },
        NotCancelled::NotRunning => {
            let message = "this response is not being made in the background: there is nothing to cancel".into();
            ApiError::InvalidRequest { message, param: "response_id" }
        }
    })
}

/// One that is no text is an id that no response has.
fn text(id: Result<Path<String>, PathRejection>) -> String {
    id.map(|Path(id)| id).unwrap_or_default()
}
