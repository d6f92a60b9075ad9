//! `GET` and `POST /admin/clock`: the engine's time, told and advanced. Ours, not vLLM's.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use rehearsal_engine::{Clock, EngineTime};
use serde::Serialize;
use serde_json::Value;

use crate::config::duration;
use crate::replica::Replica;
use crate::wire::errors::ApiError;
use crate::wire::json;

const ADVANCE: &str = "advance";
const UNTIL_IDLE: &str = "until-idle";

/// Ends the message about any other body.
const EXPECTED: &str = r#"expected {"advance": "1.5s"}, with any duration, or {"until-idle": true}"#;

/// What time it is; durations in seconds.
#[derive(Debug, Serialize)]
pub struct ClockStatus {
    /// `real` or `manual`.
    clock: &'static str,
    /// How many times as fast as real time it runs; null if it is advanced by hand.
    speedup_ratio: Option<f64>,
    /// Since the start.
    now: f64,
    /// The same, since 1970.
    unix_time: f64,
    /// When something falls due next, since the start; null if nothing does.
    next_deadline: Option<f64>,
    /// Component calls that a manual clock waits for.
    calls_in_flight: usize,
}

impl ClockStatus {
    fn of(clock: &Clock) -> Self {
        let seconds = |time: EngineTime| time.since_start().as_secs_f64();
        Self {
            clock: if clock.as_manual().is_some() { "manual" } else { "real" },
            speedup_ratio: clock.speedup(),
            now: seconds(clock.now()),
            unix_time: clock.unix_time().as_secs_f64(),
            next_deadline: clock.next_deadline().map(seconds),
            calls_in_flight: clock.calls_in_flight(),
        }
    }
}

/// The time, and what is due next.
pub async fn status(State(replica): State<Arc<Replica>>) -> Json<ClockStatus> {
    Json(ClockStatus::of(&replica.clock))
}

/// Advances a manual clock, and answers when that is done. A client that leaves before stops it on the way.
pub async fn advance(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<ClockStatus>, ApiError> {
    let object = json::object(&headers, &body)?;
    let Some(clock) = replica.clock.as_manual() else {
        return Err(ApiError::invalid("this clock runs by itself: only one of --clock manual can be advanced"));
    };
    let entries: Vec<_> = object.iter().map(|(key, value)| (key.as_str(), value)).collect();
    match entries[..] {
        [(ADVANCE, by)] => {
            let by = duration(by).map_err(|problem| ApiError::invalid_value(ADVANCE, by, problem))?;
            clock.advance(by).await;
        }
        [(UNTIL_IDLE, Value::Bool(true))] => clock.advance_until_idle().await,
        [(UNTIL_IDLE, value)] => return Err(ApiError::invalid_value(UNTIL_IDLE, value, "expected true")),
        [(key, value)] => return Err(ApiError::invalid(format!("{key:?}: {value} means nothing here: {EXPECTED}"))),
        _ => return Err(ApiError::invalid(format!("{} keys instead of one: {EXPECTED}", entries.len()))),
    }
    Ok(Json(ClockStatus::of(&replica.clock)))
}
