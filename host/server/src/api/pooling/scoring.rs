//! `POST /score` and `/rerank`: how well texts go together.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::fields::{RERANK, SCORE, SIDES};
use super::vectors::{self, cosine};
use super::{Usage, check_model, encode, id};
use crate::prompts::{Input, PromptInput};
use crate::replica::Replica;
use crate::surface::openai::checks;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::{json, schema};

/// A score for each pair of texts.
pub async fn score(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let _answering = replica.load.begin();
    let object = json::object(&headers, &body)?;
    checks::cache_salt(&object)?;
    schema::check_forms(&object, SCORE, &replica.limits).or_ok()?;
    let fields = Fields(&object);
    check_model(fields, &replica)?;
    let sides = SIDES.iter().find(|(one, other)| object.contains_key(*one) && object.contains_key(*other));
    let (one, other) = sides.map_or(("", ""), |sides| *sides);
    let (scores, n_tokens) =
        scores(texts(fields.raw(one)), texts(fields.raw(other)), fields, &headers, &replica).await?;
    let data = scores.iter().enumerate();
    let data = data.map(|(index, score)| json!({ "index": index, "object": "score", "score": score }));
    let answer = json!({
        "id": id("score", &headers, fields, &replica),
        "object": "list",
        "created": replica.clock.unix_time().as_secs(),
        "model": replica.reported_model(),
        "data": data.collect::<Vec<_>>(),
        "usage": Usage::of(n_tokens),
    });
    Ok(Json(answer).into_response())
}

/// The documents, the one that goes best with the query first.
pub async fn rerank(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let _answering = replica.load.begin();
    let object: Map<String, Value> = json::object(&headers, &body)?;
    checks::cache_salt(&object)?;
    schema::check_forms(&object, RERANK, &replica.limits).or_ok()?;
    let fields = Fields(&object);
    check_model(fields, &replica)?;
    let documents = texts(fields.raw("documents"));
    let (scores, n_tokens) = scores(texts(fields.raw("query")), documents.clone(), fields, &headers, &replica).await?;
    let mut ranked: Vec<_> = scores.into_iter().enumerate().collect();
    ranked.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let top_n = fields.integer("top_n").and_then(|top_n| usize::try_from(top_n).ok()).filter(|top_n| *top_n > 0);
    ranked.truncate(top_n.unwrap_or(usize::MAX));
    let results = ranked.into_iter().map(|(index, score)| {
        let document = json!({ "text": documents[index], "multi_modal": null });
        json!({ "index": index, "document": document, "relevance_score": score })
    });
    let answer = json!({
        "id": id("score", &headers, fields, &replica),
        "model": replica.reported_model(),
        "usage": { "prompt_tokens": n_tokens, "total_tokens": n_tokens },
        "results": results.collect::<Vec<_>>(),
    });
    Ok(Json(answer).into_response())
}

/// One text or several; of content in parts, its texts.
fn texts(side: Option<&Value>) -> Vec<String> {
    let text = |item: &Value| match item {
        Value::String(text) => text.clone(),
        item => {
            let parts = item["content"].as_array().into_iter().flatten();
            parts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
    };
    match side {
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(item) => vec![text(item)],
        None => Vec::new(),
    }
}

/// One with one, one with each, or each with its own, and the tokens of all pairs.
async fn scores(
    queries: Vec<String>,
    documents: Vec<String>,
    fields: Fields<'_>,
    headers: &HeaderMap,
    replica: &Replica,
) -> Result<(Vec<f64>, u32), ApiError> {
    if queries.len() > 1 && queries.len() != documents.len() {
        return Err(ApiError::invalid("texts go together 1 to 1, 1 to N or N to N"));
    }
    if queries.is_empty() || documents.is_empty() {
        return Err(ApiError::invalid("both sides must have at least one text"));
    }
    for name in ["max_tokens_per_query", "max_tokens_per_doc"] {
        if let Some(value) = fields.integer(name).filter(|value| *value < 0) {
            return Err(ApiError::invalid(format!("{name} must not be negative, got {value}")));
        }
    }
    let encode = |texts: Vec<String>| {
        encode(Input::Prompts(texts.into_iter().map(PromptInput::Text).collect()), fields, replica)
    };
    let (queries, documents) = (encode(queries)?, encode(documents)?);
    let dimensions = replica.answers.embedding_dimensions;
    let model = fields.text("model");
    let asked = vectors::of(&queries, dimensions, model, headers, replica).await?;
    let answered = vectors::of(&documents, dimensions, model, headers, replica).await?;
    let pairs = documents.iter().zip(answered).enumerate().map(|(index, (document, vector))| {
        let which = if asked.len() == 1 { 0 } else { index };
        // From 0 to 1, as a model of pairs has it.
        let score = cosine(&asked[which], &vector).mul_add(0.5, 0.5);
        (f64::from(score as f32), queries[which].n_tokens + document.n_tokens)
    });
    let (scores, n_tokens): (Vec<_>, Vec<_>) = pairs.unzip();
    Ok((scores, n_tokens.iter().sum()))
}
