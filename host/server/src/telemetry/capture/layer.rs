//! Keeps requests on their way to the routes, and sees how their answers end.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
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
const NOT_KEPT: [&str; 7] = ["/rehearsal", "/admin", "/fake_metrics", "/metrics", "/health", "/ready", "/ping"];

/// Headers whose values are not shown.
const SECRET: [&str; 5] = ["authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"];

/// Keeps a request, and notes how it was answered.
pub async fn capture(State(capture): State<Arc<Capture>>, request: Request, next: Next) -> Response {
    if NOT_KEPT.iter().any(|prefix| request.uri().path().starts_with(prefix)) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        // Its client left before it had said what it wants.
        return StatusCode::BAD_REQUEST.into_response();
    };
    let path = head.uri.path_and_query().map_or_else(|| "*".into(), ToString::to_string);
    let number = capture.add(Received::new(head.method.to_string(), path, shown(&head.headers), &body));
    let mut answering = Answering { capture, number, status: None, is_whole: false };
    let response = TAG.scope(number, next.run(Request::from_parts(head, Body::from(body)))).await;
    answering.status = Some(response.status().as_u16());
    // Dropped first, a stream ends its request in the engine.
    response.map(|body| guarded(body, answering))
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let is_secret = SECRET.contains(&name.as_str());
        let value = if is_secret { "***".into() } else { String::from_utf8_lossy(value.as_bytes()) };
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
