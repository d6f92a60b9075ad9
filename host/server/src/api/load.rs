//! `GET /load`: how many requests are being answered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::replica::Replica;

/// The count; 0 unless `enable-server-load-tracking` says to count.
pub async fn get(State(replica): State<Arc<Replica>>) -> Json<Value> {
    Json(json!({ "server_load": replica.load.count() }))
}
