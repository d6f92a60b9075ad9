//! `POST /v1/embeddings` and `/pooling`: vectors.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::{EMBED, POOL};
use super::{Usage, check_model, id, no_longer, prompts, vectors};
use crate::replica::Replica;
use crate::surface::openai::checks;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::{json, schema};

/// Longer vectors than any model has are not made.
const MOST_DIMENSIONS: i64 = 8_192;

#[derive(Debug, Serialize)]
struct Pooling<D> {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    data: Vec<D>,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Embedding {
    index: usize,
    object: &'static str,
    embedding: Numbers<f32>,
}

#[derive(Debug, Serialize)]
struct Pooled {
    index: usize,
    object: &'static str,
    data: Numbers<f64>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Numbers<N> {
    List(Vec<N>),
    Base64(String),
}

/// A vector for each text.
pub async fn embed(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let _answering = replica.load.begin();
    let (object, vectors, prompt_tokens) = make(&replica, &headers, &body, false).await?;
    let fields = Fields(&object);
    let data = vectors.into_iter().enumerate().map(|(index, vector)| Embedding {
        index,
        object: "embedding",
        embedding: if is_base64(fields) { Numbers::Base64(base64(&vector, fields)) } else { Numbers::List(vector) },
    });
    Ok(answer("embd", data.collect(), prompt_tokens, fields, &headers, &replica))
}

/// The same numbers, whatever the task.
pub async fn pool(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let _answering = replica.load.begin();
    let (object, vectors, prompt_tokens) = make(&replica, &headers, &body, true).await?;
    let fields = Fields(&object);
    let data = vectors.into_iter().enumerate().map(|(index, vector)| Pooled {
        index,
        object: "pooling",
        data: if is_base64(fields) {
            Numbers::Base64(base64(&vector, fields))
        } else {
            Numbers::List(vector.into_iter().map(f64::from).collect())
        },
    });
    Ok(answer("pooling", data.collect(), prompt_tokens, fields, &headers, &replica))
}

type Made = (Map<String, Value>, Vec<Vec<f32>>, u32);

async fn make(replica: &Replica, headers: &HeaderMap, body: &[u8], is_pooling: bool) -> Result<Made, ApiError> {
    let object = json::object(headers, body)?;
    no_longer(&object)?;
    checks::cache_salt(&object)?;
    checks::generation_prompt(&object)?;
    schema::check_forms(&object, if is_pooling { POOL } else { EMBED }, &replica.limits).or_ok()?;
    let fields = Fields(&object);
    check_model(fields, replica)?;
    let wanted = fields.integer("dimensions");
    if is_pooling && wanted.is_some() {
        return Err(ApiError::invalid_param("dimensions", "dimensions are not for /pooling"));
    }
    let dimensions = wanted.unwrap_or(replica.answers.embedding_dimensions.into());
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        let message = format!("dimensions must be from 1 to {MOST_DIMENSIONS}, got {dimensions}");
        return Err(ApiError::invalid_value("dimensions", dimensions, message));
    }
    for (name, usual) in [("embed_dtype", "float32"), ("encoding_format", "float")] {
        let is_simulated = |word: &str| word == usual || word == "base64";
        if let Some(word) = fields.text(name).filter(|word| !is_simulated(word)) {
            return Err(ApiError::invalid_value(name, word, format!("{name} {word:?} is not simulated")));
        }
    }
    let prompts = prompts(fields, replica)?;
    let vectors = vectors::of(&prompts, dimensions as u32, fields.text("model"), headers, replica).await?;
    let prompt_tokens = prompts.iter().map(|prompt| prompt.n_tokens).sum();
    Ok((object, vectors, prompt_tokens))
}

fn answer<D: Serialize>(
    prefix: &str,
    data: Vec<D>,
    prompt_tokens: u32,
    fields: Fields<'_>,
    headers: &HeaderMap,
    replica: &Replica,
) -> Response {
    let pooling = Pooling {
        id: id(prefix, headers, fields, replica),
        object: "list",
        created: replica.clock.unix_time().as_secs(),
        model: replica.reported_model().to_owned(),
        data,
        usage: Usage::of(prompt_tokens),
    };
    Json(pooling).into_response()
}

fn is_base64(fields: Fields<'_>) -> bool {
    fields.text("encoding_format") == Some("base64")
}

/// Of the numbers as 32 bits each, the low byte first unless the request wants the high one there.
fn base64(vector: &[f32], fields: Fields<'_>) -> String {
    let bytes = match fields.text("endianness") {
        Some("big") => f32::to_be_bytes,
        _ => f32::to_le_bytes,
    };
    STANDARD.encode(vector.iter().flat_map(|value| bytes(*value)).collect::<Vec<_>>())
}
