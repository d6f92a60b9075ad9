//! The files that benchmarks leave, told apart by what is in them.

mod aiperf;
mod capture;
mod guidellm;
mod inference_perf;
mod vllm_bench;

use serde::Deserialize;
use serde_json::Value;

use crate::benchmark::{Benchmark, Record};

/// Understands a file of `vllm bench serve --save-detailed`, guidellm, aiperf or inference-perf, or of our own
/// `--capture-file`. Fails with which record and which field is wrong.
pub fn import(name: &str, text: &str) -> Result<Vec<Benchmark>, String> {
    let at = |problem: String| format!("{name}: {problem}");
    let document = document(text).map_err(at)?;
    // A single line is one record.
    let document = match document {
        Value::Object(record)
            if ["metrics", "start_time", "at"].iter().any(|field| record.contains_key(*field))
                && !record.contains_key("benchmarks") =>
        {
            Value::Array(vec![Value::Object(record)])
        }
        other => other,
    };
    let first = match &document {
        Value::Array(records) => records.first(),
        other => Some(other),
    };
    let has = |field: &str| first.is_some_and(|first| first.get(field).is_some());
    let benchmark = match &document {
        Value::Object(_) if has("ttfts") || has("input_lens") => vllm_bench::read(&document),
        Value::Object(_) if has("benchmarks") => guidellm::read(&document),
        Value::Array(records) if has("metadata") => aiperf::read(records),
        Value::Array(records) if has("start_time") => inference_perf::read(records),
        Value::Array(records) if has("at") => capture::read(records),
        _ => Err("it is of none of the benchmarks that are known: `vllm bench serve --save-result --save-detailed`, guidellm \
                  (benchmarks.json), aiperf (profile_export.jsonl), inference-perf (per_request_lifecycle_metrics.json), `rehearsal --capture-file`"
            .into()),
    };
    let (tool, runs) = benchmark.map_err(at)?;
    let n = runs.len();
    let name_of = |run: usize| if n == 1 { name.to_owned() } else { format!("{name}, run {run}") };
    let benchmarks = (1..).zip(runs).map(|(run, (records, failed))| {
        let name = name_of(run);
        if records.is_empty() {
            return Err(format!("{name}: it has no request that was answered"));
        }
        Ok(Benchmark::new(&name, tool, records, failed))
    });
    benchmarks.collect()
}

/// What wrote a file, and its runs: the records of each, and how many requests failed.
type Read = Result<(&'static str, Vec<(Vec<Record>, usize)>), String>;

/// One JSON document, or one for each line.
fn document(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(document) => Ok(document),
        Err(whole) => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let parsed = lines.map(|(at, line)| serde_json::from_str(line).map_err(|error| (at + 1, error)));
            match parsed.collect::<Result<Vec<Value>, _>>() {
                Ok(lines) => Ok(Value::Array(lines)),
                // A file that is one document is wrong where that is.
                Err((1, _)) => Err(format!("it is no JSON: {whole}")),
                Err((line, error)) => Err(format!("line {line} is no JSON: {error}")),
            }
        }
    }
}

/// A record of its own shape. Fails with which one it is, and which field is wrong.
fn typed<T: for<'de> Deserialize<'de>>(what: &str, at: usize, record: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(record).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { format!(", {path}") };
        format!("{what} {at}{field}: {}", error.inner())
    })
}

/// What cannot be in any record. Fails with which one it is.
fn sound(what: &str, at: usize, record: Record) -> Result<Record, String> {
    let Record { start, prompt_tokens, output_tokens, ttft, e2e, .. } = record;
    let problem = if !(start.is_finite() && ttft.is_finite() && e2e.is_finite()) {
        "a time is no number".to_owned()
    } else if ttft < 0.0 || e2e < ttft {
        format!("its first token came after {ttft} s, and its last one after {e2e} s")
    } else if prompt_tokens == 0 || output_tokens == 0 {
        format!("it has {prompt_tokens} prompt tokens and {output_tokens} of output")
    } else {
        return Ok(record);
    };
    Err(format!("{what} {at}: {problem}"))
}

#[cfg(test)]
mod tests;
