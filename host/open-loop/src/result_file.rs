//! What was measured, in the shape that `vllm bench serve --save-result --save-detailed` writes.

use serde_json::{Value, json};

use crate::Sent;

/// The file's JSON: a list for each field, by request. A request that failed has its error, and zeros.
pub fn result_file(model: &str, rate: f64, sent: &[Sent]) -> Value {
    let all = |of: &dyn Fn(&Sent) -> Value| Value::Array(sent.iter().map(of).collect());
    let good = sent.iter().filter(|sent| sent.is_good()).count();
    let duration = sent.iter().map(|sent| sent.start + sent.e2e).fold(0.0, f64::max);
    json!({
        "backend": "rehearsal",
        "model_id": model,
        "num_prompts": sent.len(),
        // As Python writes it.
        "request_rate": if rate.is_finite() { json!(rate) } else { json!("inf") },
        "duration": duration,
        "completed": good,
        "failed": sent.len() - good,
        "start_times": all(&|sent| json!(sent.start)),
        "input_lens": all(&|sent| json!(sent.prompt_tokens.unwrap_or(0))),
        "output_lens": all(&|sent| json!(if sent.is_good() { sent.output_tokens.unwrap_or(0) } else { 0 })),
        "ttfts": all(&|sent| json!(sent.ttft.unwrap_or(0.0))),
        "itls": all(&|sent| json!(sent.gaps)),
        "errors": all(&|sent| json!(sent.error.as_deref().unwrap_or_default())),
    })
}
