//! aiperf's `profile_export.jsonl`: a line for each request.

use serde::Deserialize;
use serde_json::Value;

use super::{Read, sound, typed};
use crate::benchmark::Record;

#[derive(Deserialize)]
struct Line {
    metadata: Metadata,
    metrics: Metrics,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Metadata {
    request_start_ns: f64,
    #[serde(default)]
    was_cancelled: bool,
    benchmark_phase: Option<String>,
}

#[derive(Deserialize)]
struct Metrics {
    time_to_first_token: Option<Metric>,
    request_latency: Option<Metric>,
    input_sequence_length: Option<Metric>,
    output_sequence_length: Option<Metric>,
    usage_prompt_cache_read_tokens: Option<Metric>,
}

/// Times are in milliseconds.
#[derive(Deserialize)]
struct Metric {
    value: f64,
}

pub(super) fn read(lines: &[Value]) -> Read {
    let (mut records, mut failed) = (Vec::new(), 0);
    for (at, line) in lines.iter().enumerate() {
        let Line { metadata, metrics, error } = typed("line", at + 1, line)?;
        if metadata.benchmark_phase.as_deref() == Some("warmup") {
            continue;
        }
        let (Some(ttft), Some(latency)) = (metrics.time_to_first_token, metrics.request_latency) else {
            failed += 1;
            continue;
        };
        if error.is_some_and(|error| !error.is_null()) || metadata.was_cancelled {
            failed += 1;
            continue;
        }
        let count = |metric: Option<Metric>| metric.map_or(0, |metric| metric.value as u32);
        let record = Record {
            start: metadata.request_start_ns * 1e-9,
            prompt_tokens: count(metrics.input_sequence_length),
            output_tokens: count(metrics.output_sequence_length),
            ttft: ttft.value * 1e-3,
            e2e: latency.value * 1e-3,
            cached_tokens: count(metrics.usage_prompt_cache_read_tokens),
            prompt: Vec::new(),
            index: at,
        };
        records.push(sound("line", at + 1, record)?);
    }
    Ok(("aiperf", vec![(records, failed)]))
}
