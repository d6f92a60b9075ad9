//! `POST /reset_prefix_cache`, `/reset_mm_cache`, `/reset_encoder_cache`: of vLLM's endpoints for developers, there only with
//! `VLLM_SERVER_DEV_MODE=1`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Serialize;

use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::query;
use crate::wire::schema::{Field, Kind, field};

/// The query of `/reset_prefix_cache`.
pub const RESET: &[Field] = &[field("reset_running_requests", Kind::Switch), field("reset_external", Kind::Switch)];

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
    Query(pairs): Query<Vec<(String, String)>>,
    _body: Bytes,
) -> Result<Json<Outcome>, ApiError> {
    let given = query::read(pairs, RESET, &replica.limits)?;
    let reset_running = Fields(&given).switch("reset_running_requests");
    Ok(Json(Outcome { success: replica.engine.reset_prefix_cache(reset_running) }))
}

/// Of media nothing is kept that could be forgotten.
pub async fn reset_media(_body: Bytes) -> StatusCode {
    StatusCode::OK
}
