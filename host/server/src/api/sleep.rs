//! Servers that sleep or pause, as RLHF trainers and schedulers of GPUs ask of vLLM: there only with `VLLM_SERVER_DEV_MODE=1`.
//!
//! `POST /sleep` and `/wake_up`, `GET /is_sleeping`: memory is given away and taken back. `POST /pause` and `/resume`,
//! `GET /is_paused`: nothing is generated. There is no memory here, but all that clients see of it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use rehearsal_engine::Pause;
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::query;
use crate::wire::schema::{Field, Kind, field};

type Pairs = Query<Vec<(String, String)>>;

const MODE: Field = field("mode", Kind::Words(&["abort", "wait", "keep"]));
/// The query of `/sleep`.
pub const SLEEP: &[Field] = &[field("level", Kind::Integer(0, 2)), MODE];
/// Of `/pause`.
pub const PAUSE: &[Field] = &[MODE, field("clear_cache", Kind::Switch)];

/// `POST /sleep?level=&mode=`. New requests are queued until it wakes. Level 0 keeps the memory.
///
/// A body means nothing, but is read: a connection with an unread one is closed.
pub async fn sleep(
    State(replica): State<Arc<Replica>>,
    Query(pairs): Pairs,
    _body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let given = query::read(pairs, SLEEP, &replica.limits)?;
    let level = Fields(&given).integer("level").unwrap_or(1);
    replica.engine.pause(mode(Fields(&given))).await;
    // A wake-up may have come before it slept.
    if level > 0 && replica.engine.is_paused() {
        replica.engine.reset_prefix_cache(false);
        replica.sleep.fall_asleep(level as u8);
    }
    Ok(Json(json!({ "status": "sleeping", "level": level })))
}

/// `POST /wake_up?tags=&tags=`: all of it, or the memory of these names; when none is given away any more, it goes on.
pub async fn wake_up(State(replica): State<Arc<Replica>>, Query(pairs): Pairs, _body: Bytes) -> Json<Value> {
    let tags: Vec<_> = pairs.into_iter().filter(|(name, _)| name == "tags").map(|(_, tag)| tag).collect();
    let is_awake = replica.sleep.wake(&tags);
    if is_awake {
        go_on(&replica);
    }
    let status = if is_awake { "awake" } else { "sleeping" };
    Json(json!({ "status": status, "tags": if tags.is_empty() { Value::Null } else { json!(tags) } }))
}

/// `GET /is_sleeping`: whether it sleeps or pauses.
pub async fn is_sleeping(State(replica): State<Arc<Replica>>) -> Json<Value> {
    Json(json!({ "is_sleeping": replica.sleep.is_asleep() || replica.engine.is_paused() }))
}

/// `POST /pause?mode=&clear_cache=`. New requests are refused, but queued where those before are kept.
pub async fn pause(
    State(replica): State<Arc<Replica>>,
    Query(pairs): Pairs,
    _body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let given = query::read(pairs, PAUSE, &replica.limits)?;
    let mode = mode(Fields(&given));
    replica.sleep.refuse(mode != Pause::Keep);
    replica.engine.pause(mode).await;
    if Fields(&given).switch_or("clear_cache", true) {
        replica.engine.reset_prefix_cache(false);
    }
    Ok(Json(json!({ "status": "paused" })))
}

/// `POST /resume`
pub async fn resume(State(replica): State<Arc<Replica>>, _body: Bytes) -> Json<Value> {
    go_on(&replica);
    Json(json!({ "status": "resumed" }))
}

/// `GET /is_paused`
pub async fn is_paused(State(replica): State<Arc<Replica>>) -> Json<Value> {
    Json(json!({ "is_paused": replica.engine.is_paused() }))
}

fn go_on(replica: &Replica) {
    replica.sleep.refuse(false);
    replica.engine.resume();
}

fn mode(fields: Fields<'_>) -> Pause {
    match fields.text("mode") {
        Some("wait") => Pause::Wait,
        Some("keep") => Pause::Keep,
        _ => Pause::Abort,
    }
}
