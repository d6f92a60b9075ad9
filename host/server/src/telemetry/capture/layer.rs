//! Keeps requests on their way to the routes, and sees how their answers end.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Capture, Received};
use crate::telemetry::guarded_body::{Guard, guarded};

tokio::task_local! {
    /// The number of the request that is being answered.
    static TAG: u64;
}

/// By it the engine's reports name the request that is being answered; none where requests are not kept.
pub fn tag() -> Option<u64> {
    TAG.try_with(|tag| *tag).ok()
}

/// What operators and probes ask is not of interest.
const NOT_KEPT: [&str; 15] = [
    "/rehearsal",
    "/admin",
    "/fake_metrics",
    "/metrics",
    "/health",
    "/ready",
    "/ping",
    "/load",
    "/version",
    "/server_info",
    "/openapi.json",
    "/sleep",
    "/wake_up",
    "/is_sleeping",
    "/is_paused",
];

/// What ends the names of headers, and of parameters of a path, whose values are not shown.
const SECRET: [&str; 6] = ["authorization", "key", "token", "cookie", "secret", "password"];

/// Keeps a request, and notes how it was answered. What no endpoint is for has no body that would be read.
pub async fn capture(State(capture): State<Arc<Capture>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_below =
        |prefix: &&str| path.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if NOT_KEPT.iter().any(is_below) {
        return next.run(request).await;
    }
    let has_endpoint = request.extensions().get::<MatchedPath>().is_some();
    let (head, body) = request.into_parts();
    let (kept, body) = if has_endpoint {
        // It was read before, within its limits.
        let Ok(read) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
        (read.clone(), Body::from(read))
    } else {
        (Bytes::new(), body)
    };
    let received = Received::new(head.method.to_string(), shown_path(&head.uri), shown(&head.headers), &kept);
    let number = capture.add(received);
    drop(kept);
    let mut answering = Answering { capture, number, status: None, is_whole: false };
    let response = TAG.scope(number, next.run(Request::from_parts(head, body))).await;
    answering.status = Some(response.status().as_u16());
    // Dropped first, a stream ends its request in the engine.
    response.map(|body| guarded(body, answering))
}

fn is_secret(name: &str) -> bool {
    // What names a request is no secret.
    let name = name.to_ascii_lowercase();
    name != "idempotency-key" && SECRET.iter().any(|end| name.ends_with(end))
}

fn shown_path(uri: &Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=***"),
        _ => pair.to_owned(),
    });
    format!("{}?{}", uri.path(), shown.collect::<Vec<_>>().join("&"))
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = if is_secret(name.as_str()) { "***".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        (name.to_string(), value.into_owned())
    };
    headers.iter().map(shown).collect()
}

/// Notes how the request was answered when it is dropped.
struct Answering {
    capture: Arc<Capture>,
    number: u64,
    status: Option<u16>,
    is_whole: bool,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.capture.answered(self.number, self.status, self.is_whole);
    }
}

impl Guard for Answering {
    fn whole(&mut self) {
        self.is_whole = true;
    }
}
