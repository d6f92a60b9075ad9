//! How good a fit is: how far percentiles are off, and what the benchmark does not cover.

use super::{FitOptions, Fitted, Outcome};
use crate::benchmark::{Benchmark, Record, per_cent_off, percentile, tpot};
use crate::profile::{Covered, Errors};

/// In words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No percentile is off by more than 3 %.
    Good,
    /// None by more than 5 %, or 25 ms of a time to first token.
    Fair,
    /// Some are.
    Poor,
}

impl Verdict {
    /// Of errors, where the largest is this many per cent, and the largest of times to first token so many milliseconds.
    pub fn of(errors: &Errors, ttft_ms: [f64; 3]) -> Self {
        // What is no number is off, too.
        let is_within = |error: f64, most: f64| error.abs() <= most;
        let is_off = |most: f64| {
            let others = errors.tpot.iter().chain(&errors.e2e).any(|error| !is_within(*error, most));
            others
                || errors.ttft.iter().zip(ttft_ms).any(|(error, ms)| !is_within(*error, most) && !is_within(ms, 25.0))
        };
        match () {
            () if !is_off(3.0) => Self::Good,
            () if !is_off(5.0) => Self::Fair,
            () => Self::Poor,
        }
    }

    /// As a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Good => "good: no percentile is off by more than 3 % (of a time to first token: or 25 ms)",
            Self::Fair => "fair: no percentile is off by more than 5 % (of a time to first token: or 25 ms)",
            Self::Poor => {
                "poor: check max-num-seqs, max-num-batched-tokens and num-gpu-blocks, give the prompts if prefixes repeat, and \
                 measure low, medium and unlimited rates"
            }
        }
    }
}

/// How far off `outcome`, which came of `fitted`, is on the records of `counts`, in per cent of p50, p90 and p99; and of times
/// to first token in milliseconds too.
pub fn errors(benchmark: &Benchmark, outcome: &Outcome, counts: &[bool], fitted: &Fitted) -> (Errors, [f64; 3]) {
    let counted = |values: &mut dyn Iterator<Item = f64>| -> Vec<f64> {
        values.zip(counts).filter(|(_, counts)| **counts).map(|(value, _)| value).collect()
    };
    let records = &benchmark.records;
    let times = || outcome.times.iter().zip(records);
    let ttft = counted(&mut times().map(|((ttft, _), _)| ttft + fitted.overhead));
    let tpots = counted(&mut times().map(|((ttft, e2e), record)| tpot(*ttft, *e2e, record.output_tokens)));
    let e2e = counted(&mut times().map(|((_, e2e), _)| e2e + fitted.overhead));
    let measured = |of: fn(&Record) -> f64| counted(&mut records.iter().map(of));
    let real_ttft = measured(|record| record.ttft);
    let ms = [50.0, 90.0, 99.0].map(|at| (percentile(&ttft, at) - percentile(&real_ttft, at)) * 1e3);
    let errors = Errors {
        ttft: per_cent_off(&ttft, &real_ttft),
        tpot: per_cent_off(&tpots, &measured(Record::tpot)),
        e2e: per_cent_off(&e2e, &measured(|record| record.e2e)),
    };
    (errors, ms)
}

impl Covered {
    /// What these benchmarks, of which these outcomes came, have of everything.
    pub fn of(benchmarks: &[Benchmark], outcomes: &[Outcome]) -> Self {
        let records = || benchmarks.iter().flat_map(|benchmark| &benchmark.records);
        let range = |of: fn(&Record) -> u32| {
            [records().map(of).min().unwrap_or_default(), records().map(of).max().unwrap_or_default()]
        };
        let most = outcomes.iter().map(Outcome::most_sequences).max().unwrap_or_default();
        Self {
            prompt_tokens: range(|record| record.prompt_tokens),
            output_tokens: range(|record| record.output_tokens),
            sequences: [1, most.max(1)],
        }
    }
}

/// What there is to be said against benchmarks.
pub fn warnings(benchmarks: &[Benchmark], options: &FitOptions) -> Vec<String> {
    let mut warnings = Vec::new();
    for benchmark in benchmarks {
        let (name, n) = (&benchmark.name, benchmark.records.len());
        if benchmark.failed > 0 {
            let failed = benchmark.failed;
            warnings.push(format!("{name}: {failed} requests failed; the load that they were is not simulated"));
        }
        if n < 50 {
            warnings.push(format!("{name}: {n} requests are few; 100 or more give steadier coefficients"));
        }
        let start = options.skip.min(n / 10);
        let of = |records: &[Record]| percentile(&records.iter().map(|record| record.ttft).collect::<Vec<_>>(), 50.0);
        if start > 0 && of(&benchmark.records[..start]) > 2.0 * of(&benchmark.records[start..3 * start]) {
            warnings.push(format!(
                "{name}: its first {start} requests waited more than twice as long for their first tokens as the next ones: the server \
                 was warming up; they do not count"
            ));
        }
    }
    if benchmarks.len() == 1 {
        warnings.push(
            "one rate tells little of others: measure a low, a medium and an unlimited one, and give all of the files"
                .into(),
        );
    }
    warnings
}
