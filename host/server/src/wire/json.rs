//! A request's body as JSON.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::errors::ApiError;
use super::fields::FieldErrors;

/// The body as a JSON object; the media type must say that it is one.
pub fn object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::UnsupportedMediaType);
    }
    if body.is_empty() {
        return Err(FieldErrors::no_body().into());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(FieldErrors::not_an_object(&other).into()),
        Err(error) => Err(FieldErrors::not_json(offset(body, &error), &error.to_string()).into()),
    }
}

/// The byte at which reading failed.
fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return body.len();
    }
    let before: usize =
        body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    before + error.column().saturating_sub(1)
}
