//! `GET /rehearsal`: a page to look at while a load runs, and what it is fed with. Ours, not vLLM's.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use futures::stream;
use rehearsal_plugin_host::PluginStatus;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::process::real_time::{Interval, MissedTickBehavior, interval};
use crate::replica::{Replica, VLLM_VERSION};
use crate::telemetry::live::{Glance, Watcher, rows};
use crate::wire::event::write_data;

/// How often the page changes.
const PERIOD: Duration = Duration::from_secs(1);

/// The page loads nothing but its own events, and no other page shows it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The page.
pub async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("page.html")))
}

/// How things stand, at once and then every second, until the client goes away or the server stops.
pub async fn events(State(replica): State<Arc<Replica>>) -> Response {
    const HEADERS: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watcher = replica.watched.watch();
    let frames = stream::unfold((ticks, watcher, replica), |(mut ticks, watcher, replica)| async move {
        let frame = next(&mut ticks, &watcher, &replica).await?;
        Some((Ok::<_, Infallible>(frame), (ticks, watcher, replica)))
    });
    (HEADERS, Body::from_stream(frames)).into_response()
}

async fn next(ticks: &mut Interval, watcher: &Watcher, replica: &Replica) -> Option<Vec<u8>> {
    tokio::select! {
        biased;
        () = replica.closing.begun() => return None,
        _ = ticks.tick() => {}
    }
    let mut frame = Vec::new();
    write_data(&mut frame, &Frame::new(watcher.look(), replica));
    Some(frame)
}

/// How things stand, and what happened since the frame before.
#[derive(Serialize)]
struct Frame<'a> {
    /// Seconds of engine time after its start.
    at: f64,
    model: &'a str,
    rank: u32,
    vllm_version: &'static str,
    /// `GET /metrics` tells something else.
    metrics_are_fake: bool,
    metrics: Map<String, Value>,
    adapters: Vec<String>,
    plugins: Vec<Plugin>,
    #[serde(flatten)]
    glance: Glance,
}

#[derive(Serialize)]
struct Plugin {
    name: String,
    last_error: Option<String>,
}

impl From<PluginStatus> for Plugin {
    /// The later of a call's error and a reload's.
    fn from(PluginStatus { info, last_reload, last_call_error, .. }: PluginStatus) -> Self {
        let of_reload = last_reload.and_then(|reload| Some((reload.ago, reload.error?)));
        let of_call = last_call_error.map(|error| (error.ago, error.message));
        let latest = of_reload.into_iter().chain(of_call).min_by_key(|(ago, _)| *ago);
        Self { name: info.name, last_error: latest.map(|(_, error)| error) }
    }
}

impl<'a> Frame<'a> {
    fn new(glance: Glance, replica: &'a Replica) -> Self {
        let metrics = &replica.metrics;
        let measured = metrics.measured(&replica.moment(), replica.plugins.statuses());
        let plugins = replica.plugins.statuses();
        Self {
            at: replica.clock.now().since_start().as_secs_f64(),
            model: replica.reported_model(),
            rank: replica.rank,
            vllm_version: VLLM_VERSION,
            metrics_are_fake: metrics.are_made_up(),
            metrics: rows(&measured),
            adapters: replica.adapters.all().iter().map(|adapter| adapter.name.clone()).collect(),
            plugins: plugins.map(Plugin::from).collect(),
            glance,
        }
    }
}
