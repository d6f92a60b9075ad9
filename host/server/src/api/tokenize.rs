//! `POST /tokenize` and `/detokenize`: the served model's tokenizer, to be asked.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use super::body::json_object;
use super::body::tokenize::{DetokenizeRequest, Input, TokenizeRequest};
use super::error::ApiError;
use crate::app::App;
use crate::validate;

/// The ids of a prompt's tokens, as many as a request with that prompt is charged for.
pub async fn tokenize(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Tokenized>, ApiError> {
    let request = TokenizeRequest::read(&json_object(&headers, &body)?)?;
    validate::adapter(request.model.as_deref(), &app)?;
    let tokenizer = app.prompts.tokenizer();
    let tokens = match &request.input {
        Input::Text(text) => app.prompts.text_ids(text, request.add_special_tokens),
        Input::Chat(messages) => app.prompts.chat_ids(messages, &body)?,
    };
    let strings = request.return_token_strs.then(|| tokens.iter().map(|id| tokenizer.token_string(*id)).collect());
    let max_model_len = app.engine.config().max_model_len;
    Ok(Json(Tokenized { count: tokens.len(), max_model_len, tokens, token_strs: strings }))
}

/// The text of token ids.
pub async fn detokenize(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Detokenized>, ApiError> {
    let request = DetokenizeRequest::read(&json_object(&headers, &body)?)?;
    validate::adapter(request.model.as_deref(), &app)?;
    let ids = app.prompts.known_ids(&request.tokens)?;
    Ok(Json(Detokenized { prompt: app.prompts.tokenizer().decode(&ids) }))
}

/// The answer of `/tokenize`.
#[derive(Debug, Serialize)]
pub struct Tokenized {
    count: usize,
    max_model_len: u32,
    tokens: Vec<u32>,
    token_strs: Option<Vec<String>>,
}

/// The answer of `/detokenize`.
#[derive(Debug, Serialize)]
pub struct Detokenized {
    prompt: String,
}
