//! What a benchmark measured of a server, request by request, as its clients saw it.

use std::time::Duration;

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// When it was sent, in seconds; of a benchmark's first one 0.
    pub start: f64,
    /// Length of the prompt.
    pub prompt_tokens: u32,
    /// Length of the answer.
    pub output_tokens: u32,
    /// From `start` to the first token, in seconds.
    pub ttft: f64,
    /// From `start` to the last token, in seconds.
    pub e2e: f64,
    /// Tokens of the prompt that were found in the KV cache, as far as the server told.
    pub cached_tokens: u32,
    /// The prompt's tokens, where they are known.
    pub prompt: Vec<u32>,
    /// Its place among the requests of its file, those that failed included.
    pub index: usize,
}

impl Record {
    /// From one token to the next, on average, in seconds.
    pub fn tpot(&self) -> f64 {
        tpot(self.ttft, self.e2e, self.output_tokens)
    }
}

/// One run of a benchmark.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Benchmark {
    /// Where it comes from.
    pub name: String,
    /// What wrote it.
    pub tool: &'static str,
    /// Requests that were answered, in the order of their start.
    pub records: Vec<Record>,
    /// Requests that failed, were cancelled or had no token: their load on the server is missing.
    pub failed: usize,
}

impl Benchmark {
    /// Sorts the records, and lets the first one start at 0.
    pub(crate) fn new(name: &str, tool: &'static str, mut records: Vec<Record>, failed: usize) -> Self {
        records.sort_by(|one, other| one.start.total_cmp(&other.start));
        let first = records.first().map_or(0.0, |first| first.start);
        records.iter_mut().for_each(|record| record.start -= first);
        Self { name: name.to_owned(), tool, records, failed }
    }

    /// Requests a second, from the first to the last.
    pub fn rate(&self) -> f64 {
        let last = self.records.last().map_or(0.0, |last| last.start);
        if last > 0.0 { (self.records.len() - 1) as f64 / last } else { f64::INFINITY }
    }
}

/// From one token to the next, on average, of an answer of so many that has its first after `ttft` and its last after `e2e`.
pub fn tpot(ttft: f64, e2e: f64, output_tokens: u32) -> f64 {
    (e2e - ttft) / f64::from(output_tokens.max(2) - 1)
}

/// By how many per cent p50, p90 and p99 of what was simulated are off those of what was measured.
pub fn per_cent_off(simulated: &[f64], measured: &[f64]) -> [f64; 3] {
    [50.0, 90.0, 99.0].map(|at| match (percentile(simulated, at), percentile(measured, at)) {
        (0.0, 0.0) => 0.0,
        (simulated, measured) => (simulated / measured - 1.0) * 100.0,
    })
}

/// A moment so many seconds after the start: the start itself if that is before it, and the end of time if it is after that.
pub fn moment(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// The value below which this share of `values` lies, in between if need be, as numpy has it; 0 of none.
pub fn percentile(values: &[f64], per_cent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = per_cent / 100.0 * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}
