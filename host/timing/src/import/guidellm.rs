//! guidellm: a report of several benchmarks, each with its requests.

use serde::Deserialize;
use serde_json::Value;

use super::{Read, sound, typed};
use crate::benchmark::Record;

#[derive(Deserialize)]
struct Request {
    info: Info,
    prompt_tokens: Option<u32>,
    output_tokens: Option<u32>,
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct Info {
    timings: Timings,
}

/// Seconds since 1970.
#[derive(Deserialize)]
struct Timings {
    request_start: f64,
    first_token_iteration: Option<f64>,
    last_token_iteration: Option<f64>,
}

pub(super) fn read(document: &Value) -> Read {
    let benchmarks = document["benchmarks"].as_array().ok_or("benchmarks: it is no list")?;
    let mut runs = Vec::new();
    for (of, benchmark) in benchmarks.iter().enumerate() {
        let (mut records, mut failed) = (Vec::new(), 0);
        let requests = &benchmark["requests"];
        let what = format!("benchmarks[{of}].requests.successful, request");
        failed +=
            ["errored", "incomplete"].iter().filter_map(|kind| requests[kind].as_array()).map(Vec::len).sum::<usize>();
        let successful = requests["successful"].as_array().ok_or_else(|| {
            format!("benchmarks[{of}].requests.successful: it is no list; write the report with its requests")
        })?;
        for (at, request) in successful.iter().enumerate() {
            let Request { info, prompt_tokens, output_tokens, cached_tokens } = typed(&what, at, request)?;
            let Timings { request_start, first_token_iteration, last_token_iteration } = info.timings;
            let (Some(first), Some(last)) = (first_token_iteration, last_token_iteration) else {
                return Err(format!("{what} {at}: it has no time of its first token: run guidellm with streaming"));
            };
            let record = Record {
                start: request_start,
                prompt_tokens: prompt_tokens.unwrap_or_default(),
                output_tokens: output_tokens.unwrap_or_default(),
                ttft: first - request_start,
                e2e: last - request_start,
                cached_tokens: cached_tokens.unwrap_or_default(),
                prompt: Vec::new(),
                index: at,
            };
            records.push(sound(&what, at, record)?);
        }
        runs.push((records, failed));
    }
    Ok(("guidellm", runs))
}
