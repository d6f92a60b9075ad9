//! `vllm bench serve --save-result --save-detailed`: a list for each field, by request.

use serde::Deserialize;
use serde_json::Value;

use super::{Read, sound, typed};
use crate::benchmark::Record;

#[derive(Deserialize)]
struct File {
    /// Seconds of a clock of its own; vLLM writes them since 0.11.
    start_times: Option<Vec<f64>>,
    input_lens: Vec<u32>,
    output_lens: Vec<u32>,
    ttfts: Vec<f64>,
    /// From each token to the next, in seconds.
    itls: Option<Vec<Vec<f64>>>,
    /// Instead of `itls`, where those would be large.
    e2els: Option<Vec<f64>>,
    /// Empty where a request succeeded.
    #[serde(default)]
    errors: Vec<Option<String>>,
}

pub(super) fn read(document: &Value) -> Read {
    let file: File = typed("the file", 0, document).map_err(|error| error.replacen("the file 0, ", "", 1))?;
    let starts = file
        .start_times
        .ok_or("it has no start_times: run the benchmark with --save-detailed, of vLLM 0.11 or later")?;
    let n = starts.len();
    let lengths = [
        ("input_lens", file.input_lens.len()),
        ("output_lens", file.output_lens.len()),
        ("ttfts", file.ttfts.len()),
        ("itls", file.itls.as_ref().map_or(n, Vec::len)),
        ("e2els", file.e2els.as_ref().map_or(n, Vec::len)),
    ];
    if let Some((field, len)) = lengths.into_iter().find(|(_, len)| *len != n) {
        return Err(format!("start_times has {n} requests, and {field} has {len}"));
    }
    let (mut records, mut failed) = (Vec::new(), 0);
    for at in 0..n {
        let is_error = file.errors.get(at).is_some_and(|error| error.as_deref().is_some_and(|error| !error.is_empty()));
        if is_error || file.output_lens[at] == 0 {
            failed += 1;
            continue;
        }
        let ttft = file.ttfts[at];
        let e2e = match (&file.e2els, &file.itls) {
            (Some(e2els), _) => e2els[at],
            (None, Some(itls)) => ttft + itls[at].iter().sum::<f64>(),
            (None, None) => return Err("it has neither itls nor e2els".into()),
        };
        let record = Record {
            start: starts[at],
            prompt_tokens: file.input_lens[at],
            output_tokens: file.output_lens[at],
            ttft,
            e2e,
            index: at,
            ..Record::default()
        };
        records.push(sound("request", at, record)?);
    }
    Ok(("vllm bench serve", vec![(records, failed)]))
}
