//! inference-perf's `per_request_lifecycle_metrics.json`: a list of requests, each with the times of its tokens.

use serde::Deserialize;
use serde_json::Value;

use super::{Read, sound, typed};
use crate::benchmark::Record;

#[derive(Deserialize)]
struct Request {
    /// Seconds of a clock of its own, as the times of tokens.
    start_time: f64,
    info: Option<Info>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Info {
    request_metrics: RequestMetrics,
    response_metrics: Option<ResponseMetrics>,
}

#[derive(Deserialize)]
struct RequestMetrics {
    text: Text,
}

#[derive(Deserialize)]
struct Text {
    input_tokens: u32,
}

#[derive(Deserialize)]
struct ResponseMetrics {
    output_tokens: u32,
    output_token_times: Vec<f64>,
}

pub(super) fn read(requests: &[Value]) -> Read {
    let (mut records, mut failed) = (Vec::new(), 0);
    for (at, request) in requests.iter().enumerate() {
        let Request { start_time: start, info, error } = typed("request", at, request)?;
        let answer = info.and_then(|info| Some((info.request_metrics.text.input_tokens, info.response_metrics?)));
        let answered = answer.filter(|_| error.is_none_or(|error| error.is_null()));
        let Some((prompt_tokens, ResponseMetrics { output_tokens, output_token_times })) = answered else {
            failed += 1;
            continue;
        };
        let (Some(first), Some(last)) = (output_token_times.first(), output_token_times.last()) else {
            return Err(format!(
                "request {at}, info.response_metrics.output_token_times: it is empty: stream the answers"
            ));
        };
        let (ttft, e2e) = (first - start, last - start);
        let record = Record { start, prompt_tokens, output_tokens, ttft, e2e, index: at, ..Record::default() };
        records.push(sound("request", at, record)?);
    }
    Ok(("inference-perf", vec![(records, failed)]))
}
