//! What a generating endpoint has to know: how to read a body, and how to write an answer.

use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::envelope::{Answer, Envelope};
use super::incoming::Incoming;
use super::sse::Events;
use crate::config::RequestLimits;

use crate::wire::errors::ApiError;

/// One request of a generating endpoint: what it asks the engine, and how its answer is written.
pub trait Surface: Sized + Send + 'static {
    /// What an id begins with.
    const ID_PREFIX: &'static str;

    /// Writes the answer as a stream.
    type Events: Events;

    /// Reads a body. Types and forms only; ranges are judged later, for all surfaces alike.
    fn read(body: Map<String, Value>, limits: &RequestLimits) -> Result<(Self, Incoming), ApiError>;

    /// The answer in one piece.
    fn whole(self, answer: &Answer) -> Response;

    /// The answer as a stream.
    fn events(self, envelope: Envelope) -> Self::Events;

    /// The answer to a request that failed before anything was sent.
    fn failed(error: ApiError) -> Response {
        error.into_response()
    }
}
