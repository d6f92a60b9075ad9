//! `GET` and `DELETE /rehearsal/requests`: the requests as they were received. Ours, not vLLM's.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::duration;
use crate::process::real_time::timeout;
use crate::replica::Replica;
use crate::telemetry::capture::{Capture, Received};
use crate::wire::errors::ApiError;

/// How long a client waits that does not say.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Which requests are asked for.
#[derive(Default)]
struct Wanted {
    last: Option<usize>,
    wait: Option<usize>,
    timeout: Option<Duration>,
    model: Option<String>,
    headers: Vec<(String, String)>,
}

/// The answer, oldest first.
#[derive(Serialize)]
pub struct Requests {
    requests: Vec<Box<RawValue>>,
    /// Fewer than were waited for have arrived in time.
    timed_out: bool,
}

/// The last requests, perhaps once so many have arrived.
pub async fn list(
    State(replica): State<Arc<Replica>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Requests>, ApiError> {
    let (wanted, capture) = (Wanted::read(pairs)?, capture(&replica)?);
    if let Some(n) = wanted.wait.filter(|n| *n > capture.n_kept()) {
        let n_kept = capture.n_kept();
        return Err(ApiError::invalid(format!("wait: {n} requests are more than the {n_kept} that --capture keeps")));
    }
    let is_wanted = |received: &Received| wanted.admits(received);
    let waiting = capture.wait(wanted.wait.unwrap_or(0), is_wanted);
    let timed_out = timeout(wanted.timeout.unwrap_or(USUAL_TIMEOUT), waiting).await.is_err();
    Ok(Json(Requests { requests: capture.last(wanted.last.unwrap_or(usize::MAX), is_wanted), timed_out }))
}

/// Forgets them.
pub async fn forget(State(replica): State<Arc<Replica>>) -> Result<StatusCode, ApiError> {
    capture(&replica)?.clear();
    Ok(StatusCode::NO_CONTENT)
}

fn capture(replica: &Replica) -> Result<&Capture, ApiError> {
    let kept_none = || ApiError::invalid("no requests are kept: start the server with --capture N");
    replica.capture.as_deref().filter(|capture| capture.n_kept() > 0).ok_or_else(kept_none)
}

impl Wanted {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut wanted = Self::default();
        for (name, value) in pairs {
            let number = || {
                let refused = || ApiError::invalid(format!("{name}: {value:?} is not a whole number from 0"));
                value.parse::<usize>().map_err(|_| refused())
            };
            match name.as_str() {
                "last" => wanted.last = Some(number()?),
                "wait" => wanted.wait = Some(number()?),
                "timeout" => {
                    let parsed = duration(&Value::String(value));
                    wanted.timeout = Some(parsed.map_err(|problem| ApiError::invalid(format!("timeout: {problem}")))?);
                }
                "model" => wanted.model = Some(value),
                "header" => {
                    let (header, value) = value
                        .split_once(':')
                        .ok_or_else(|| ApiError::invalid(format!("header: {value:?} is not NAME:VALUE")))?;
                    wanted.headers.push((header.trim().to_owned(), value.trim().to_owned()));
                }
                _ => {
                    let known = "last, wait, timeout, model and header";
                    return Err(ApiError::invalid(format!("{name:?} means nothing here; known are {known}")));
                }
            }
        }
        Ok(wanted)
    }

    fn admits(&self, received: &Received) -> bool {
        self.headers.iter().all(|(name, value)| received.has_header(name, value))
            && self.model.as_ref().is_none_or(|model| received.asks_for(model))
    }
}
