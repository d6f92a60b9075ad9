//! Answers that are broken on purpose.

use std::io;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;

/// An answer whose body ends in the middle: the client sees a broken connection, not a clean end.
pub(crate) fn cut_connection() -> Response {
    let body = Body::from_stream(stream::once(async { Err::<Bytes, _>(cut()) }));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What ends a body in the middle.
pub(crate) fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut on purpose")
}

/// A body that says it is JSON and is not.
pub(crate) fn malformed() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"choices": [{"index": 0, "message": "#).into_response()
}
