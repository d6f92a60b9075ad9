//! `POST /v1/messages/count_tokens`: how long the prompt of a message would be.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::generate;
use crate::replica::Replica;
use crate::surface::messages::{self, fields};
use crate::wire::fields::Fields;
use crate::wire::{json, schema};

/// The tokens of the prompt, which must leave room for an answer.
pub async fn count(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Response {
    let _answering = replica.load.begin();
    let counted = json::object(&headers, &body).and_then(|object| {
        schema::check(&object, fields::COUNT_TOKENS, &replica.limits).or_ok()?;
        let fields = Fields(&object);
        let (conversation, wishes) = messages::read_prompt(fields);
        generate::count(fields.text("model"), conversation, &wishes, &replica)
    });
    match counted {
        Ok(n_tokens) => {
            let context = json!({ "original_input_tokens": n_tokens });
            Json(json!({ "input_tokens": n_tokens, "context_management": context })).into_response()
        }
        Err(error) => messages::failed(error),
    }
}
