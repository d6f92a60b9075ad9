//! A request's body as JSON, read as Python's `json` reads it: in any Unicode encoding, with `NaN` and `Infinity`, and
//! refused in its words.

mod decode;
mod scan;

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::errors::ApiError;
use super::invalid::Invalid;
use super::token_ids;

/// Of a body above this size, in bytes, long lists of token ids are not made values of.
const LARGE: usize = 64 << 10;

/// Nested deeper, a body is not read.
const MOST_DEPTH: usize = 1000;

/// Nor is an integer of more digits.
const MOST_DIGITS: usize = 4300;

/// The body as a JSON object; the media type must say that it is one.
pub fn object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    check_media_type(headers)?;
    match value(body)? {
        None => Err(Invalid::no_body().into()),
        Some(Value::Object(object)) => Ok(object),
        Some(other) => Err(Invalid::not_an_object(&other, 1).into()),
    }
}

/// The same object with its large numbers as they were written, for errors to tell.
pub fn exact(body: &[u8]) -> Option<Map<String, Value>> {
    match scan::value(&decode::text(body)?) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// FastAPI takes what is before the first semicolon, and does not trim it.
pub fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default();
    if media_type.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(ApiError::UnsupportedMediaType) }
}

/// The body as any JSON, where no framework reads it: refused as Python's own functions refuse it.
pub fn loads(body: &[u8]) -> Result<Value, ApiError> {
    let text = decode::text(body).ok_or_else(|| ApiError::invalid("the body is no text in UTF-8, UTF-16 or UTF-32"))?;
    scan::value(&text).map_err(|failure| match failure {
        scan::Failure::Syntax { at, message } => {
            let before = &text[..at];
            let line = 1 + before.iter().filter(|c| **c == '\n').count();
            let column = 1 + before.iter().rev().take_while(|c| **c != '\n').count();
            ApiError::BadRequest(format!("JSON decode error: {message}: line {line} column {column} (char {at})"))
        }
        scan::Failure::Unreadable => ApiError::UnreadableBody,
    })
}

/// The body as any JSON; `None` if it is empty or null.
pub fn value(body: &[u8]) -> Result<Option<Value>, ApiError> {
    if body.is_empty() {
        return Ok(None);
    }
    // What is JSON for serde means the same for Python. What is not may still be.
    let compact = if body.len() > LARGE { token_ids::object(body).ok() } else { None };
    let value = match compact.map_or_else(|| serde_json::from_slice(body), Ok) {
        Ok(value) => value,
        Err(_) => {
            let text = decode::text(body).ok_or(ApiError::UnreadableBody)?;
            scan::value(&text).map_err(|failure| match failure {
                scan::Failure::Syntax { at, message } => ApiError::from(Invalid::not_json(at, message)),
                scan::Failure::Unreadable => ApiError::UnreadableBody,
            })?
        }
    };
    Ok(Some(value).filter(|value| !value.is_null()))
}
