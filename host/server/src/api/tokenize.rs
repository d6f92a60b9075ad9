//! `POST /tokenize` and `/detokenize`: the served model's tokenizer, to be asked.

mod request;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::json;
pub use request::{DETOKENIZE, TOKENIZE};
use request::{DetokenizeRequest, Input, TokenizeRequest};

/// An answer of more would take many times what was asked.
const MOST_TOKENS: usize = 2_000_000;

/// The ids of a prompt's tokens, as many as a request with that prompt is charged for.
pub async fn tokenize(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Tokenized>, ApiError> {
    let request = TokenizeRequest::read(&json::object(&headers, &body)?, &replica.limits)?;
    replica.adapter(request.model.as_deref())?;
    let tokenizer = replica.prompts.tokenizer();
    let tokens = match &request.input {
        Input::Text(text) => replica.prompts.text_ids(text, request.add_special_tokens),
        Input::Chat(conversation) => {
            conversation.check_trust(&replica.limits)?;
            replica.prompts.chat_ids(conversation, request.add_special_tokens)?
        }
    };
    if tokens.len() > MOST_TOKENS {
        let n_tokens = tokens.len();
        return Err(ApiError::invalid(format!("these are {n_tokens} tokens, and at most {MOST_TOKENS} are listed")));
    }
    let strings = request.return_token_strs.then(|| tokens.iter().map(|id| tokenizer.token_string(*id)).collect());
    let max_model_len = replica.engine.config().max_model_len;
    Ok(Json(Tokenized { count: tokens.len(), max_model_len, tokens, token_strs: strings }))
}

/// The text of token ids.
pub async fn detokenize(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Detokenized>, ApiError> {
    let request = DetokenizeRequest::read(&json::object(&headers, &body)?, &replica.limits)?;
    replica.adapter(request.model.as_deref())?;
    let ids = replica.prompts.known_ids(&request.tokens)?;
    Ok(Json(Detokenized { prompt: replica.prompts.tokenizer().decode(&ids) }))
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
