//! `metrics` of an answer, with `--enable-per-request-metrics`.

use std::time::Duration;

use rehearsal_engine::SequenceHistory;
use serde::Serialize;

/// How long the parts of a request took, in vLLM's order of keys; what did not happen is null.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RequestMetrics {
    /// From leaving the queue to the first token.
    time_to_first_token_ms: Option<f64>,
    /// From the first token to the last.
    generation_time_ms: Option<f64>,
    /// In the queue.
    queue_time_ms: Option<f64>,
    /// Between two tokens; null unless there are two.
    mean_itl_ms: Option<f64>,
    /// Output, from leaving the queue to the last token.
    tokens_per_second: Option<f64>,
    /// Nothing is speculated.
    speculative_decoding: Option<()>,
}

impl RequestMetrics {
    pub(super) fn new(history: &SequenceHistory) -> Self {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let generated_tokens = history.generated_tokens;
        let generation_time_ms = history.decode_time().map(milliseconds);
        let inference_time_ms = history.inference_time().map(milliseconds);
        Self {
            time_to_first_token_ms: history.prefill_time().map(milliseconds),
            generation_time_ms,
            queue_time_ms: history.queue_time().map(milliseconds),
            mean_itl_ms: generation_time_ms
                .filter(|_| generated_tokens > 1)
                .map(|time| time / f64::from(generated_tokens - 1)),
            tokens_per_second: inference_time_ms
                .filter(|time| *time > 0.0)
                .map(|time| f64::from(generated_tokens) / time * 1000.0),
            speculative_decoding: None,
        }
    }
}
