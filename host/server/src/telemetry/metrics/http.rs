//! `http_…`: requests by endpoint, as the instrumentator of vLLM's framework counts them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType, Summary};
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, Result};

use crate::process::real_time::Instant;
use crate::telemetry::guarded_body::{Guard, guarded};

/// Endpoints that have one of these in their path are not counted.
const UNCOUNTED: [&str; 7] = ["/metrics", "/health", "/load", "/ping", "/version", "/server_info", "/rehearsal"];

/// What is no endpoint.
const UNKNOWN: &str = "none";

const FINE: [f64; 21] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5, 10.0, 30.0, 60.0,
];
const COARSE: [f64; 3] = [0.1, 0.5, 1.0];

/// What is measured of HTTP.
pub struct HttpMetrics {
    requests: IntCounterVec,
    request_size: Sizes,
    response_size: Sizes,
    duration_fine: Histogram,
    duration: HistogramVec,
}

impl HttpMetrics {
    /// Registers the families.
    pub(super) fn register(registry: &Registry) -> Result<Arc<Self>> {
        let seconds =
            |name: &str, help: &str, buckets: &[f64]| HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("http_requests_total", "Requests by endpoint, method and hundreds of the status."),
                &["handler", "method", "status"],
            )?,
            request_size: Sizes::new("http_request_size_bytes", "Content-Length of requests; 0 without one.")?,
            response_size: Sizes::new("http_response_size_bytes", "Content-Length of answers; 0 without one.")?,
            duration_fine: Histogram::with_opts(seconds(
                "http_request_duration_highr_seconds",
                "From a request to the last byte of its answer, in fine steps.",
                &FINE,
            ))?,
            duration: HistogramVec::new(
                seconds("http_request_duration_seconds", "The same by endpoint, in coarse steps.", &COARSE),
                &["handler", "method"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_size.clone()))?;
        registry.register(Box::new(metrics.response_size.clone()))?;
        registry.register(Box::new(metrics.duration_fine.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        Ok(Arc::new(metrics))
    }

    fn answered(&self, of: &Answered) {
        let seconds = of.begun.elapsed().as_secs_f64();
        let handler = of.endpoint.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
        self.requests.with_label_values(&[handler, of.method, of.status]).inc();
        self.request_size.add(handler, of.request_size);
        self.response_size.add(handler, of.response_size);
        self.duration_fine.observe(seconds);
        self.duration.with_label_values(&[handler, of.method]).observe(seconds);
    }
}

/// Measures a request up to the last byte of its answer, or until its client goes away.
pub async fn measure(State(metrics): State<Arc<HttpMetrics>>, request: Request, next: Next) -> Response {
    let endpoint = request.extensions().get::<MatchedPath>().cloned();
    if endpoint.as_ref().is_some_and(|path| UNCOUNTED.iter().any(|uncounted| path.as_str().contains(uncounted))) {
        return next.run(request).await;
    }
    let method = method(request.method());
    let (begun, request_size) = (Instant::now(), content_length(request.headers()));
    let response = next.run(request).await;
    let status = match response.status().as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    let length = response.body().size_hint().exact();
    let response_size = length.unwrap_or_else(|| content_length(response.headers()));
    let answered = Answered { metrics, endpoint, method, status, begun, request_size, response_size };
    response.map(|body| guarded(body, answered))
}

/// Clients may make methods up; rows are not made for each.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

fn content_length(headers: &HeaderMap) -> u64 {
    headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// Counted when it is dropped.
struct Answered {
    metrics: Arc<HttpMetrics>,
    endpoint: Option<MatchedPath>,
    method: &'static str,
    status: &'static str,
    begun: Instant,
    request_size: u64,
    response_size: u64,
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.metrics.clone().answered(self);
    }
}

impl Guard for Answered {}

/// A summary without quantiles, by endpoint: how many, and how many bytes together.
#[derive(Clone)]
struct Sizes {
    desc: Desc,
    by_handler: Arc<Mutex<BTreeMap<String, (u64, u64)>>>,
}

impl Sizes {
    fn new(name: &str, help: &str) -> Result<Self> {
        let desc = Desc::new(name.to_owned(), help.to_owned(), vec!["handler".into()], Default::default())?;
        Ok(Self { desc, by_handler: Arc::default() })
    }

    fn add(&self, handler: &str, bytes: u64) {
        let mut by_handler = self.by_handler.lock().unwrap_or_else(PoisonError::into_inner);
        if !by_handler.contains_key(handler) {
            by_handler.insert(handler.to_owned(), (0, 0));
        }
        if let Some((n, sum)) = by_handler.get_mut(handler) {
            (*n, *sum) = (*n + 1, sum.saturating_add(bytes));
        }
    }
}

impl Collector for Sizes {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let by_handler = self.by_handler.lock().unwrap_or_else(PoisonError::into_inner);
        let metric = |(handler, (n, sum)): (&String, &(u64, u64))| {
            let mut label = LabelPair::default();
            label.set_name("handler".into());
            label.set_value(handler.clone());
            let mut summary = Summary::default();
            summary.set_sample_count(*n);
            summary.set_sample_sum(*sum as f64);
            let mut metric = Metric::from_label(vec![label]);
            metric.set_summary(summary);
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(by_handler.iter().map(metric).collect());
        vec![family]
    }
}
