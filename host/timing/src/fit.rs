//! The coefficients of a step's time, from what clients measured alone.
//!
//! The run is simulated with the present coefficients; then the batches of its steps are held, in which every measured time is
//! a sum of coefficients, and the best ones are a bounded least-squares problem; with these it is simulated again, and so on
//! (Gauss–Newton with a line search). A weak pull towards what is usual decides what the measurements do not.

mod form;
mod replay;
mod solve;
mod verdict;

use std::num::NonZeroU32;

use rehearsal_engine::{StepConfig, StepTime};

use crate::benchmark::{Benchmark, percentile};
pub use form::Form;
pub use replay::Outcome;
use replay::Run;
use solve::{Problem, nearest};
pub use verdict::{Verdict, errors, warnings};

/// The engine that a benchmark ran against, and how to fit.
#[derive(Debug, Clone, PartialEq)]
pub struct FitOptions {
    /// `--max-num-seqs` of the server.
    pub max_num_seqs: NonZeroU32,
    /// `--max-num-batched-tokens` of the server.
    pub max_num_batched_tokens: NonZeroU32,
    /// Blocks of its KV cache, as it logs them at its start; `None` if memory was never short.
    pub num_gpu_blocks: Option<NonZeroU32>,
    /// Tokens of a block.
    pub block_size: NonZeroU32,
    /// It schedules a step while the one before it runs.
    pub async_scheduling: bool,
    /// Ranks that share the requests and step together.
    pub data_parallel_size: NonZeroU32,
    /// What a step's time is made of.
    pub form: Form,
    /// First requests of each run that do not count, because the server was warming up.
    pub skip: usize,
    /// Each file is the beginning of a longer run: the same arrivals go on after it, or its last requests would seem to have run in
    /// an engine that empties.
    pub goes_on: bool,
}

/// Coefficients that were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Of a step.
    pub time: StepTime,
    /// Of a request beside its steps, in seconds.
    pub overhead: f64,
    /// How far the simulated times are off altogether; smaller is better.
    pub cost: f64,
}

/// What a request beside its steps takes at most; more would soak up whatever is unknown.
const MOST_OVERHEAD_MS: f64 = 20.0;

/// Requests of a run that can be fitted at all.
const LEAST_REQUESTS: usize = 10;

/// How strong the pull towards what is usual is.
const RIDGE: f64 = 0.1;

/// What a step of the usual coefficients takes with a few sequences, in seconds.
const USUAL_TPOT: f64 = 0.033;

/// Finds the coefficients with which the requests of `counts` come out as they were measured: `counts` has a flag for each record of
/// each benchmark. `progress` is told how many of how many simulations were made.
///
/// # Errors
/// If a request cannot have run on such an engine.
pub fn fit(
    benchmarks: &[Benchmark],
    counts: &[Vec<bool>],
    options: &FitOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Fitted, String> {
    /// Of the usual speed, from where the search begins. The first that is best is kept.
    const STARTS: [f64; 3] = [1.0, 0.7, 1.3];
    const MOST_ITERATIONS: usize = 30;
    if let Some(few) = benchmarks.iter().find(|benchmark| benchmark.records.len() < LEAST_REQUESTS) {
        let (name, n) = (&few.name, few.records.len());
        return Err(format!(
            "{name}: {n} answered requests tell nothing: {LEAST_REQUESTS} are the least, 100 are better"
        ));
    }
    StepConfig::check_budget(options.max_num_batched_tokens, options.max_num_seqs)
        .map_err(|problem| format!("max-num-batched-tokens: {problem}"))?;
    let runs: Vec<_> = benchmarks.iter().map(|benchmark| Run::new(benchmark, options)).collect();
    let of_counted = benchmarks.iter().zip(counts).flat_map(|(benchmark, counts)| {
        let counted =
            benchmark.records.iter().zip(counts).filter(|(record, counts)| **counts && record.output_tokens > 1);
        counted.map(|(record, _)| record.tpot())
    });
    let speed = percentile(&of_counted.collect::<Vec<_>>(), 50.0) / USUAL_TPOT;
    let mut best: Option<Fitted> = None;
    for (at, start) in STARTS.into_iter().enumerate() {
        let mut done = 0;
        let mut told = |_: ()| {
            done += 1;
            progress((at * MOST_ITERATIONS + done).min((at + 1) * MOST_ITERATIONS), STARTS.len() * MOST_ITERATIONS);
        };
        let search = Search { runs: &runs, counts, form: options.form, prior: options.form.usual(speed * start) };
        let fitted = search.go(MOST_ITERATIONS, &mut told)?;
        if best.as_ref().is_none_or(|best| fitted.cost < best.cost * (1.0 - 1e-3)) {
            best = Some(fitted);
        }
    }
    best.ok_or_else(|| "nothing was fitted".into())
}

/// What comes of each of `benchmarks` with the coefficients of `fitted`.
///
/// # Errors
/// If a request cannot have run on such an engine.
pub fn simulate(benchmarks: &[Benchmark], options: &FitOptions, fitted: &Fitted) -> Result<Vec<Outcome>, String> {
    benchmarks.iter().map(|benchmark| Run::new(benchmark, options).simulate(&fitted.time)).collect()
}

/// One search, from what is usual.
struct Search<'a> {
    runs: &'a [Run],
    counts: &'a [Vec<bool>],
    form: Form,
    /// Coefficients in the units of [`SCALES`], and last the overhead in milliseconds.
    prior: Vec<f64>,
}

impl Search<'_> {
    fn go(&self, most_iterations: usize, told: &mut dyn FnMut(())) -> Result<Fitted, String> {
        let mut z = self.prior.clone();
        let mut problem = self.problem(&z)?;
        for _ in 0..most_iterations {
            told(());
            let ridge = self.ridge(problem.errors.len());
            let target = nearest(&problem, &z, &self.prior, &ridge, &self.bounds());
            let mut is_better = false;
            for share in [1.0, 0.5, 0.25, 0.1, 0.03] {
                let next: Vec<_> = z.iter().zip(&target).map(|(z, target)| z + share * (target - z)).collect();
                let of_next = self.problem(&next)?;
                if of_next.cost() < problem.cost() * (1.0 - 1e-5) {
                    (z, problem, is_better) = (next, of_next, true);
                    break;
                }
            }
            if !is_better {
                break;
            }
        }
        let (overhead, coefficients) = z.split_last().ok_or("no coefficients")?;
        Ok(Fitted { time: self.form.time(coefficients), overhead: overhead * 1e-3, cost: problem.cost() })
    }

    /// How far off each measured time is with these coefficients, and how it depends on each.
    fn problem(&self, z: &[f64]) -> Result<Problem, String> {
        let Some((overhead_ms, coefficients)) = z.split_last() else { return Err("no coefficients".into()) };
        let time = self.form.time(coefficients);
        let mut problem = Problem::new(z.len());
        for (run, counts) in self.runs.iter().zip(self.counts) {
            let outcome = run.simulate(&time)?;
            run.add_to(&mut problem, &outcome, counts, self.form, overhead_ms * 1e-3);
        }
        Ok(problem)
    }

    fn ridge(&self, n_errors: usize) -> Vec<f64> {
        let ridge = RIDGE * (n_errors as f64).sqrt();
        let mut of_all = vec![ridge; self.prior.len()];
        if let Some(of_overhead) = of_all.last_mut() {
            // A millisecond is little.
            *of_overhead = 0.01 * ridge;
        }
        of_all
    }

    fn bounds(&self) -> Vec<f64> {
        let mut most = vec![f64::INFINITY; self.prior.len()];
        if let Some(of_overhead) = most.last_mut() {
            *of_overhead = MOST_OVERHEAD_MS;
        }
        most
    }
}

#[cfg(test)]
mod tests;
