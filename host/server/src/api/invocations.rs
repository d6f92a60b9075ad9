//! `POST /invocations`, as SageMaker asks: a chat or a text completion, whichever the body is.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::generate::{self, Surface};
use crate::replica::Replica;
use crate::surface::chat_completions::ChatCompletions;
use crate::surface::completions::Completions;
use crate::wire::errors::ApiError;
use crate::wire::{json, python};

/// The adapter that is to answer. The body's own model does not count, as in vLLM.
const ADAPTER: &str = "x-amzn-sagemaker-adapter-identifier";

/// Sessions that keep something between requests.
const SESSION: &str = "x-amzn-sagemaker-session-id";

/// Answers as the first endpoint that takes the body.
pub async fn invoke(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Response {
    match read(&headers, &body) {
        Ok(object) => answer(object, &headers, &body, &replica).await.unwrap_or_else(IntoResponse::into_response),
        Err(error) => error.into_response(),
    }
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    json::check_media_type(headers)?;
    if headers.contains_key(SESSION) {
        let message =
            "Invalid payload. stateful sessions not enabled, X-Amzn-SageMaker-Session-Id header not supported";
        return Err(ApiError::BadRequest(message.into()));
    }
    let mut object = match json::loads(body)? {
        Value::Object(object) => object,
        other => {
            return Err(ApiError::invalid(format!("the body must be an object, not {}", python::type_name(&other))));
        }
    };
    if object.contains_key("requestType") {
        return Err(ApiError::BadRequest("Invalid payload. stateful sessions not enabled".into()));
    }
    let adapter = headers.get(ADAPTER).and_then(|adapter| adapter.to_str().ok());
    object.insert("model".into(), adapter.map_or(Value::Null, Into::into));
    Ok(object)
}

/// What is wrong with types makes it a request of the next kind; anything else is an error at once.
async fn answer(
    object: Map<String, Value>,
    headers: &HeaderMap,
    body: &[u8],
    replica: &Arc<Replica>,
) -> Result<Response, ApiError> {
    match ChatCompletions::read(object.clone(), &replica.limits) {
        Ok((surface, incoming)) => return Ok(generate::respond(surface, incoming, headers, body, replica).await),
        Err(ApiError::Fields(_)) => {}
        Err(error) => return Err(error),
    }
    match Completions::read(object, &replica.limits) {
        Ok((surface, incoming)) => Ok(generate::respond(surface, incoming, headers, body, replica).await),
        Err(ApiError::Fields(_)) => {
            let message = "Cannot find suitable handler for request. Expected one of: ['ChatCompletionRequest', \
                           'CompletionRequest']";
            Err(ApiError::invalid(message))
        }
        Err(error) => Err(error),
    }
}
