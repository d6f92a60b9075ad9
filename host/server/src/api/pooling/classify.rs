//! `POST /classify`: one of two classes.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::seed::{self, Purpose};
use serde_json::json;

use super::fields::CLASSIFY;
use super::{Usage, check_model, id, no_longer, prompts};
use crate::replica::Replica;
use crate::surface::openai::checks;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::{json, schema};

/// How likely each class is, and which one is likelier.
pub async fn classify(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let _answering = replica.load.begin();
    let object = json::object(&headers, &body)?;
    no_longer(&object)?;
    checks::cache_salt(&object)?;
    checks::generation_prompt(&object)?;
    schema::check_forms(&object, CLASSIFY, &replica.limits).or_ok()?;
    let fields = Fields(&object);
    check_model(fields, &replica)?;
    let prompts = prompts(fields, &replica)?;
    let data = prompts.iter().enumerate().map(|(index, prompt)| {
        // Any share is as likely as another, and it follows from the text alone.
        let ids: Vec<_> = prompt.token_ids.iter().map(|id| u64::from(*id)).collect();
        // With as many digits as a model's number of 32 bits has.
        let share = f64::from((seed::derive(Purpose::Classes, &ids) >> 40) as u32) / f64::from(1 << 24);
        let probs = [share, 1.0 - share];
        let label = if probs[0] >= probs[1] { "LABEL_0" } else { "LABEL_1" };
        json!({ "index": index, "label": label, "probs": probs, "num_classes": 2 })
    });
    let answer = json!({
        "id": id("classify", &headers, fields, &replica),
        "object": "list",
        "created": replica.clock.unix_time().as_secs(),
        "model": replica.reported_model(),
        "data": data.collect::<Vec<_>>(),
        "usage": Usage::of(prompts.iter().map(|prompt| prompt.n_tokens).sum()),
    });
    Ok(Json(answer).into_response())
}
