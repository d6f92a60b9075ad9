//! A line for each answer, as uvicorn writes it for vLLM: client, request line, status.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::info;

/// Paths whose answers are not logged: those that probes and scrapers ask for all the time.
pub type QuietPaths = Arc<[String]>;

/// Logs `127.0.0.1:51234 - "POST /v1/completions HTTP/1.1" 200 OK` when an answer begins. Paths are compared whole,
/// without what follows a question mark.
pub async fn log(State(quiet): State<QuietPaths>, request: Request, next: Next) -> Response {
    if quiet.iter().any(|path| path == request.uri().path()) {
        return next.run(request).await;
    }
    // A Unix socket's client has no address.
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(client)| client.to_string());
    let client = client.unwrap_or_default();
    let (method, version) = (request.method().clone(), request.version());
    let target = request.uri().path_and_query().map_or_else(|| "*".into(), ToString::to_string);
    let response = next.run(request).await;
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    info!("{client} - \"{method} {target} {version:?}\" {} {reason}", status.as_u16());
    response
}
