//! A span for each request that ends, sent to an OpenTelemetry collector, with vLLM's name and attributes.
//!
//! vLLM makes the span when a request has ended, of what it measured; so do we, of the engine's report. What the collector
//! does not take in time is dropped by the exporter, which says so in the log.

mod exporter;
mod ids;

use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use rehearsal_engine::request::Traced;
use rehearsal_engine::{Clock, Endpoint, EngineObserver, EngineTime, SequenceEvent, SequenceReport, StepReport};
use tracing::warn;

use crate::config::TracesConfig;
use ids::SeededIds;

/// For how long the end of the server waits for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Makes spans, and sends them.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    clock: Clock,
}

impl Traces {
    /// Sends spans where `config` says; their ids follow from `seed`. To be called within a runtime, which connections live
    /// in. Fails if there can be no exporter.
    pub fn new(config: &TracesConfig, seed: u64, clock: Clock) -> Result<Arc<Self>, String> {
        let exporter = exporter::new(config).map_err(|error| format!("otlp-traces-endpoint: {error}"))?;
        let of_process = [
            KeyValue::new("vllm.instrumenting_module_name", "vllm.llm_engine"),
            KeyValue::new("vllm.process_id", std::process::id().to_string()),
        ];
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_attributes(of_process).build())
            .with_id_generator(SeededIds::new(seed))
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("vllm.tracing.otel");
        Ok(Arc::new(Self { provider, tracer, clock }))
    }

    /// Sends what waits, if the collector takes it soon.
    pub async fn stop(self: Arc<Self>) {
        let stopped = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_SPANS)).await;
        if let Ok(Err(error)) = stopped {
            warn!(%error, "the last spans were not sent");
        }
    }

    fn ended(&self, sequence: &SequenceReport, traced: &Traced, at: EngineTime) {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(traced));
        let begin = self.clock.unix_time_at(sequence.history.arrived);
        let builder = SpanBuilder::from_name("llm_request")
            .with_kind(SpanKind::Server)
            .with_start_time(system_time(begin))
            .with_attributes(attributes(sequence, traced, at));
        let mut span = self.tracer.build_with_context(builder, &parent);
        span.end_with_timestamp(system_time(self.clock.unix_time_at(at)));
    }
}

impl EngineObserver for Traces {
    fn observe(&self, report: &StepReport) {
        for sequence in &report.sequences {
            if let SequenceEvent::Finished(_) | SequenceEvent::Failed(_) = sequence.event
                && let Some(traced) = &sequence.choice.request.traced
            {
                self.ended(sequence, traced, report.at);
            }
        }
    }
}

/// vLLM's, in its order; times in seconds.
fn attributes(sequence: &SequenceReport, traced: &Traced, at: EngineTime) -> Vec<KeyValue> {
    let (history, choice) = (&sequence.history, &sequence.choice);
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
    let count = |n: u32| i64::from(n);
    let mut attributes = vec![
        KeyValue::new("gen_ai.latency.time_to_first_token", seconds(history.time_to_first_token())),
        KeyValue::new("gen_ai.latency.e2e", at.since(history.arrived).as_secs_f64()),
        KeyValue::new("gen_ai.latency.time_in_queue", seconds(history.queue_time())),
        KeyValue::new("gen_ai.usage.prompt_tokens", count(choice.prompt().n_tokens)),
        KeyValue::new("gen_ai.usage.completion_tokens", count(history.generated_tokens)),
        KeyValue::new("gen_ai.latency.time_in_model_prefill", seconds(history.prefill_time())),
        KeyValue::new("gen_ai.latency.time_in_model_decode", seconds(history.decode_time())),
        KeyValue::new("gen_ai.latency.time_in_model_inference", seconds(history.inference_time())),
        KeyValue::new("gen_ai.request.id", id(sequence)),
        KeyValue::new("gen_ai.request.top_p", traced.top_p),
        KeyValue::new("gen_ai.request.max_tokens", count(choice.max_tokens)),
    ];
    // As vLLM's engine has it, which leaves out what is 0.
    if traced.temperature > 0.0 {
        attributes.push(KeyValue::new("gen_ai.request.temperature", traced.temperature));
    }
    // Each of several answers is a request of its own there.
    attributes.push(KeyValue::new("gen_ai.request.n", 1));
    attributes
}

/// As vLLM's engine knows it: completions number their prompts.
fn id(sequence: &SequenceReport) -> String {
    let choice = &sequence.choice;
    match choice.request.endpoint {
        Endpoint::Completions => format!("{}-{}", choice.full_id(), choice.prompt_idx()),
        _ => choice.full_id(),
    }
}

fn system_time(unix_time: Duration) -> SystemTime {
    UNIX_EPOCH + unix_time
}

/// What is to be told of a request that came with these `headers`, if it `is_traced`. vLLM's words for one that wants to be,
/// where none is.
pub fn traced(
    is_traced: bool,
    headers: &HeaderMap,
    temperature: Option<f64>,
    top_p: Option<f64>,
) -> Option<Box<Traced>> {
    static WARNED: Once = Once::new();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if !is_traced {
        if headers.contains_key("traceparent") || headers.contains_key("tracestate") {
            WARNED.call_once(|| warn!("Received a request with trace context but tracing is disabled"));
        }
        return None;
    }
    // Below this, vLLM samples greedily; and what is nearly 0 is made a hundredth.
    let temperature = temperature.unwrap_or(1.0);
    let is_greedy = temperature < 1e-5;
    Some(Box::new(Traced {
        traceparent: header("traceparent"),
        tracestate: header("tracestate"),
        temperature: if is_greedy { 0.0 } else { temperature.max(0.01) },
        top_p: if is_greedy { 1.0 } else { top_p.unwrap_or(1.0) },
    }))
}

/// The two headers of W3C's trace context.
struct Headers<'a>(&'a Traced);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.0.traceparent.as_deref(),
            "tracestate" => self.0.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}
