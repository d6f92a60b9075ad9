//! `GET /metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::replica::Replica;
use crate::telemetry::metrics::TEXT_FORMAT;

/// The page that Prometheus scrapes.
pub async fn page(State(replica): State<Arc<Replica>>) -> Response {
    match replica.metrics.page(&replica.moment(), replica.plugins.statuses()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}
