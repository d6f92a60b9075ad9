//! What was measured, in the shape that `vllm bench serve --save-result --save-detailed` writes.

use serde_json::{Value, json};

use crate::{Sent, span};

/// The file's JSON: a list for each field, by request. A request that failed, or whose answer does not
/// tell what such a file has, has an error that says so, and zeros.
pub fn result_file(model: &str, rate: f64, sent: &[Sent]) -> Value {
    let all = |of: &dyn Fn(&Sent) -> Value| Value::Array(sent.iter().map(of).collect());
    let good = sent.iter().filter(|sent| problem(sent).is_none()).count();
    let duration = span(sent);
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
        "output_lens": all(&|sent| json!(if problem(sent).is_none() { output_tokens(sent) } else { 0 })),
        "ttfts": all(&|sent| json!(sent.ttft.unwrap_or(0.0))),
        "itls": all(&|sent| json!(sent.gaps)),
        "errors": all(&|sent| json!(problem(sent).unwrap_or_default())),
    })
}

/// What keeps a request from being measured.
fn problem(sent: &Sent) -> Option<&str> {
    match (&sent.error, sent.ttft, sent.prompt_tokens) {
        (Some(error), ..) => Some(error),
        (None, None, _) => Some("its answer was not streamed"),
        (None, Some(_), None | Some(0)) => Some("the server did not say how many tokens its prompt has"),
        (None, Some(_), Some(_)) => None,
    }
}

/// As the server counted them; else one for each part of the stream.
fn output_tokens(sent: &Sent) -> u32 {
    sent.output_tokens.unwrap_or(sent.gaps.len() as u32 + 1)
}
