//! `GET /metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::metrics::TEXT_FORMAT;

/// The page that Prometheus scrapes.
pub async fn page(State(app): State<Arc<App>>) -> Response {
    match app.metrics.page(app.clock.unix_time(), app.plugins.statuses()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}
