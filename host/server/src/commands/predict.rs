//! `rehearsal predict`: what a profile makes of a trace, or of made-up requests, in the time that the arithmetic takes.

mod engine;
mod sweep;
mod table;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use rehearsal_engine::offline::Arriving;
use rehearsal_timing::import::import;
use rehearsal_timing::plot::{self, Lines};
use rehearsal_timing::predict::{Prediction, Spread, Times, predict};
use rehearsal_timing::trace::{self, Arrivals};
use rehearsal_timing::{Benchmark, Record, per_cent_off};

use super::files::{text_of, write};
use super::token_ids::add_prompts;
use crate::config::steps::profile_of;
use crate::progress;
use crate::said::{self, Said};
use engine::EngineArgs;
use sweep::{Over, Sweep};

/// Predict what a server makes of requests, without serving
///
/// The same engine that serves, on virtual time: arrivals and lengths from a trace (Azure's CSV, Mooncake's lines, a file of
/// `vllm bench serve`, guidellm, aiperf or inference-perf, or of --capture-file), or made up.
#[derive(Debug, Clone, Parser)]
#[command(name = "rehearsal predict")]
struct Command {
    /// A built-in profile, or a file of `rehearsal fit`
    #[arg(value_name = "PROFILE")]
    profile: String,
    /// The trace
    #[arg(value_name = "TRACE", required_unless_present = "input_len", conflicts_with_all = ["input_len", "output_len"])]
    trace: Option<PathBuf>,
    /// Requests a second; of a trace: its arrivals are brought to that rate. `inf`: all at once
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<f64>,
    /// Prompt tokens of made-up requests
    #[arg(long, value_name = "TOKENS", requires = "output_len", value_parser = clap::value_parser!(u32).range(1..))]
    input_len: Option<u32>,
    /// Output tokens of made-up requests
    #[arg(long, value_name = "TOKENS", requires = "input_len", value_parser = clap::value_parser!(u32).range(1..))]
    output_len: Option<u32>,
    /// How many requests are made up; of a trace: how many of its first
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    requests: Option<u32>,
    /// How made-up requests arrive
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: ArrivalsName,
    /// Decides what is random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Servers that share the requests: each goes to the one with the least to do
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    replicas: u16,
    /// A row for each: `rate=1..20`, `rate=0.5..4:0.5`, `replicas=1,2,4`
    #[arg(long, value_name = "KEY=VALUES")]
    sweep: Option<Sweep>,
    /// The prompts' token ids, if prefixes repeat: a JSON list on each line, in the order of the trace
    #[arg(long, value_name = "FILE", requires = "trace")]
    prompts: Option<PathBuf>,
    /// The trace is a benchmark: say how far off its own times the prediction is, from this request of it on
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0",
        requires = "trace", conflicts_with_all = ["sweep", "json", "rate", "replicas"])]
    compare: Option<usize>,
    /// A picture of a sweep
    #[arg(long, value_name = "FILE", requires = "sweep")]
    plot: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ArrivalsName {
    /// Evenly
    Constant,
    /// At random
    Poisson,
}

impl ArrivalsName {
    pub(super) fn get(self) -> Arrivals {
        match self {
            Self::Constant => Arrivals::Constant,
            Self::Poisson => Arrivals::Poisson,
        }
    }
}

/// A rate above 0, or `inf`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 => Ok(rate),
        _ => Err("it is no rate above 0, nor inf".into()),
    }
}

/// Requests that are made up if nothing else is said.
const USUAL_REQUESTS: u32 = 1000;

pub(super) fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let command: Command = match said::parsed("rehearsal predict", words) {
        Ok(command) => command,
        Err(said) => return said,
    };
    command.run().map(Said::Text).map_err(|problem| vec![problem])
}

impl Command {
    fn run(&self) -> Result<String, String> {
        let profile = profile_of(&self.profile)?;
        let (trace, benchmarks) = self.trace()?;
        self.check_sweep()?;
        let knows_prompts = trace.iter().flatten().any(|request| !request.prompt.is_empty());
        let config = self.engine.config(&profile, knows_prompts, self.seed)?;
        let n_ranks = profile.engine.data_parallel_size.map_or(1, |size| size.get() as usize);
        let values = match &self.sweep {
            None => vec![None],
            Some(sweep) => sweep.values.iter().copied().map(Some).collect(),
        };
        let over = self.sweep.as_ref().map(|sweep| sweep.over);
        let mut rows: Vec<(f64, Prediction)> = Vec::new();
        let mut compared = String::new();
        for value in values {
            let rate = value.filter(|_| over == Some(Over::Rate)).or(self.rate);
            let replicas = value.filter(|_| over == Some(Over::Replicas)).map_or(self.replicas.into(), |n| n as usize);
            let requests = self.requests(trace.as_deref(), rate)?;
            let bar = progress::steps("predicting", requests.len());
            let mut told = 0;
            let (prediction, times) = predict(&config, &requests, replicas, n_ranks, &mut |ended| {
                // A bar that moves with each request would cost more than the request.
                if ended >= told + 1000 {
                    told = ended;
                    bar.set_position(ended as u64);
                }
            });
            bar.finish_and_clear();
            if let (Some(from), [benchmark]) = (self.compare, &benchmarks[..]) {
                compared = compare(benchmark, &times, from);
            }
            rows.push((value.unwrap_or_default(), prediction));
        }
        if let (Some(path), Some(sweep)) = (&self.plot, &self.sweep) {
            write(path, &picture(sweep.over, &rows))?;
        }
        Ok(match (&self.sweep, &rows[..]) {
            (Some(sweep), rows) if self.json => table::json_rows(sweep.over.name(), rows),
            (Some(sweep), rows) => table::rows(sweep.over.name(), rows),
            (None, [(_, prediction), ..]) if self.json => format!("{}\n", table::json(prediction)),
            (None, [(_, prediction), ..]) => table::whole(prediction) + &compared,
            (None, []) => String::new(),
        })
    }

    /// The trace, if there is one; and the runs that it is of, if these must be known.
    fn trace(&self) -> Result<(Option<Vec<Arriving>>, Vec<Benchmark>), String> {
        let Some(path) = &self.trace else { return Ok((None, Vec::new())) };
        let (name, text) = (path.display().to_string(), text_of(path)?);
        if self.prompts.is_none() && self.compare.is_none() {
            return Ok((Some(trace::trace(&name, &text)?), Vec::new()));
        }
        let mut benchmarks = import(&name, &text)?;
        if let Some(prompts) = &self.prompts {
            add_prompts(&mut benchmarks, prompts)?;
        }
        match &benchmarks[..] {
            [benchmark] => Ok((Some(trace::of_benchmark(benchmark)), benchmarks)),
            runs => Err(format!("{name}: it has {} runs; --prompts and --compare are for one", runs.len())),
        }
    }

    /// Whether what is swept over is said once.
    fn check_sweep(&self) -> Result<(), String> {
        match &self.sweep {
            Some(sweep) if sweep.over == Over::Rate && self.rate.is_some() => {
                Err("--rate and --sweep rate=… are two answers to one question: leave one of them out".into())
            }
            Some(sweep) if sweep.over == Over::Replicas && self.replicas != 1 => {
                Err("--replicas and --sweep replicas=… are two answers to one question: leave one of them out".into())
            }
            _ => Ok(()),
        }
    }

    /// The trace, or made-up requests, at this rate if there is one.
    fn requests(&self, trace: Option<&[Arriving]>, rate: Option<f64>) -> Result<Vec<Arriving>, String> {
        match (trace, self.input_len, self.output_len) {
            (Some(trace), ..) => {
                let n = self.requests.map_or(trace.len(), |n| trace.len().min(n as usize));
                let first = &trace[..n];
                Ok(rate.map_or_else(|| first.to_vec(), |rate| trace::at_rate(first, rate)))
            }
            (None, Some(input), Some(output)) => {
                let rate = rate.ok_or("--rate is missing: how many requests a second, or inf")?;
                let n = self.requests.unwrap_or(USUAL_REQUESTS) as usize;
                let moments = trace::arrivals(rate, n, self.arrivals.get(), self.seed);
                Ok(trace::made_up(&moments, input, output))
            }
            _ => Err("there is neither a trace nor --input-len and --output-len".into()),
        }
    }
}

/// How far the predicted times of a benchmark's requests are off those that were measured, in per cent.
fn compare(benchmark: &Benchmark, predicted: &[Times], from: usize) -> String {
    let records = benchmark.records.iter().zip(predicted).skip(from);
    let pairs: [Vec<(f64, f64)>; 3] = [0, 1, 2].map(|which| {
        let measured = |record: &Record| [record.ttft, record.tpot(), record.e2e][which];
        records.clone().filter_map(|(record, times)| Some((measured(record), times[which]?))).collect()
    });
    let mut text = format!("\noff what was measured, from request {from} on, in per cent:\n");
    for (name, pairs) in ["TTFT", "TPOT", "E2E"].into_iter().zip(pairs) {
        let (measured, predicted): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let [p50, p90, p99] = per_cent_off(&predicted, &measured);
        text += &format!("{name:<8}{p50:>12.1}{p90:>12.1}{p99:>12.1}\n");
    }
    text
}

/// Times to first token and from token to token, over what is swept.
fn picture(over: Over, rows: &[(f64, Prediction)]) -> String {
    let line = |name: &str, of: &dyn Fn(&Prediction) -> f64| {
        let points = rows.iter().map(|(value, prediction)| (*value, of(prediction))).collect();
        (name.to_owned(), points)
    };
    let panel = |title: &str, lines: Vec<_>| Lines { title: title.to_owned(), over: over.axis().to_owned(), lines };
    let in_ms = |title: &str, of: fn(&Prediction) -> Spread| {
        let lines = [
            line("p50", &|prediction| of(prediction).p50 * 1e3),
            line("p90", &|prediction| of(prediction).p90 * 1e3),
            line("p99", &|prediction| of(prediction).p99 * 1e3),
        ];
        panel(title, lines.into())
    };
    plot::lines(&[
        in_ms("TTFT, ms", |prediction| prediction.ttft),
        in_ms("TPOT, ms", |prediction| prediction.tpot),
        panel("output tokens a second", vec![line("all", &Prediction::output_rate)]),
    ])
}
