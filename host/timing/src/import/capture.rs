//! `rehearsal --capture-file`: a line for each request that was received.

use serde::Deserialize;
use serde_json::Value;

use super::{Read, sound, typed};
use crate::benchmark::Record;

/// Times are in seconds.
#[derive(Deserialize)]
struct Line {
    at: f64,
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    #[serde(default)]
    cached_tokens: u32,
    ttft: Option<f64>,
    e2e: Option<f64>,
    outcome: Option<String>,
}

pub(super) fn read(lines: &[Value]) -> Read {
    let (mut records, mut failed) = (Vec::new(), 0);
    for (at, line) in lines.iter().enumerate() {
        let Line { at: start, prompt_tokens, completion_tokens, cached_tokens, ttft, e2e, outcome } =
            typed("line", at + 1, line)?;
        // Others did not generate.
        let Some(prompt_tokens) = prompt_tokens else { continue };
        let answered = completion_tokens.filter(|tokens| *tokens > 0 && outcome.as_deref() == Some("completed"));
        let (Some(output_tokens), Some(ttft), Some(e2e)) = (answered, ttft, e2e) else {
            failed += 1;
            continue;
        };
        let record =
            Record { start, prompt_tokens, output_tokens, ttft, e2e, cached_tokens, prompt: Vec::new(), index: at };
        records.push(sound("line", at + 1, record)?);
    }
    Ok(("rehearsal's capture", vec![(records, failed)]))
}
