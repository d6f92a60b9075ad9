//! The fit, the profile that comes of it, and what is said of both.

use std::path::Path;

use rehearsal_timing::fit::{self, FitOptions, Fitted, Outcome, Verdict};
use rehearsal_timing::plot::{self, Distributions};
use rehearsal_timing::profile::{Coefficients, Covered, EngineLimits, Errors, Profile, Status};
use rehearsal_timing::{Benchmark, tpot};

use super::args::FitArgs;
use crate::commands::files::write;
use crate::progress;

impl FitArgs {
    /// Fits, writes the profile, and says how good it is.
    pub(in crate::commands) fn fit(&self, benchmarks: &[Benchmark], options: &FitOptions) -> Result<String, String> {
        let mut report = String::new();
        for benchmark in benchmarks {
            let (name, tool, n, rate) = (&benchmark.name, benchmark.tool, benchmark.records.len(), benchmark.rate());
            report += &format!("{name}: {n} requests of {tool}, {rate:.2} a second\n");
        }
        fit::warnings(benchmarks, options).iter().for_each(|warning| report += &format!("note: {warning}\n"));
        let parts = |counts: fn(usize, usize) -> bool| -> Vec<Vec<bool>> {
            let of = |benchmark: &Benchmark| {
                let n = benchmark.records.len();
                let skip = options.skip.min(n / 10);
                (0..n).map(|at| at >= skip && counts(at, n)).collect()
            };
            benchmarks.iter().map(of).collect()
        };
        let held_out = parts(|at, n| at >= n - n / 3);
        let (seen, all) = (parts(|at, n| at < n - n / 3), parts(|_, _| true));
        let (fitted, outcomes) = fitted("fitting on two thirds", benchmarks, &seen, options)?;
        report += &format!(
            "\nfitted on the first two thirds of each run, off on the last third, in per cent of p50, p90, p99:\n{HEAD}"
        );
        let (errors, verdict) = table(&mut report, benchmarks, &outcomes, &held_out, &fitted)?;
        let (fitted, outcomes) = self::fitted("fitting on all", benchmarks, &all, options)?;
        report += &format!("\nfitted on all of it, off on the same:\n{HEAD}");
        table(&mut report, benchmarks, &outcomes, &all, &fitted)?;
        report += &format!("\n{}\n", verdict.words());
        let profile = self.profile(benchmarks, &outcomes, options, &fitted, errors);
        if let Some(path) = &self.plot {
            write(path, &picture(benchmarks, &outcomes, &fitted))?;
            report += &format!("wrote {}\n", path.display());
        }
        match &self.output {
            Some(path) => {
                write(path, &profile.to_yaml())?;
                report += &format!("wrote {}: serve with --latency-profile {}\n", path.display(), path.display());
            }
            None => report += &format!("\n{}", profile.to_yaml()),
        }
        Ok(report)
    }

    fn profile(
        &self,
        benchmarks: &[Benchmark],
        outcomes: &[Outcome],
        options: &FitOptions,
        fitted: &Fitted,
        errors: Errors,
    ) -> Profile {
        let n: usize = benchmarks.iter().map(|benchmark| benchmark.records.len()).sum();
        let tools = benchmarks.first().map_or("", |benchmark| benchmark.tool);
        let several = (options.data_parallel_size.get() > 1).then_some(options.data_parallel_size);
        Profile {
            name: None,
            status: Status::Measured,
            model: self.model.clone(),
            gpu: self.gpu.clone(),
            parallelism: self.parallelism.clone(),
            vllm: self.vllm.clone(),
            source: format!(
                "rehearsal fit on {n} requests of {tools} (runs: {}); errors are those of a fit on two thirds of each run, on the rest",
                benchmarks.len()
            ),
            step_time: Coefficients::of(&fitted.time),
            overhead_ms: (fitted.overhead * 1e5).round() / 1e2,
            engine: EngineLimits {
                num_gpu_blocks: options.num_gpu_blocks,
                block_size: options.num_gpu_blocks.map(|_| options.block_size),
                max_num_seqs: Some(options.max_num_seqs),
                max_num_batched_tokens: Some(options.max_num_batched_tokens),
                max_model_len: None,
                async_scheduling: Some(options.async_scheduling),
                data_parallel_size: several,
            },
            covered: Some(Covered::of(benchmarks, outcomes)),
            errors: Some(errors.rounded()),
        }
    }
}

const HEAD: &str = "                 TTFT                 TPOT                 E2E\n";

/// The best coefficients, and what comes of them.
fn fitted(
    what: &'static str,
    benchmarks: &[Benchmark],
    counts: &[Vec<bool>],
    options: &FitOptions,
) -> Result<(Fitted, Vec<Outcome>), String> {
    let bar = progress::steps(what, 1);
    let fitted = fit::fit(benchmarks, counts, options, &mut |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let fitted = fitted?;
    let outcomes = fit::simulate(benchmarks, options, &fitted)?;
    Ok((fitted, outcomes))
}

/// A row of errors for each benchmark; those of the worst one, and what to think of all.
fn table(
    report: &mut String,
    benchmarks: &[Benchmark],
    outcomes: &[Outcome],
    counts: &[Vec<bool>],
    fitted: &Fitted,
) -> Result<(Errors, Verdict), String> {
    let mut worst: Option<Errors> = None;
    let mut of_all = Verdict::Good;
    for ((benchmark, outcome), counts) in benchmarks.iter().zip(outcomes).zip(counts) {
        let (errors, ms) = fit::errors(benchmark, outcome, counts, fitted);
        let three = |errors: [f64; 3]| errors.map(|error| format!("{error:+6.1}")).concat();
        let (ttft, tpot, e2e) = (three(errors.ttft), three(errors.tpot), three(errors.e2e));
        let name = Path::new(&benchmark.name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        *report += &format!("         {ttft}   {tpot}   {e2e}   {name}\n");
        let verdict = Verdict::of(&errors, ms);
        of_all = of_all.max(verdict);
        if worst.as_ref().is_none_or(|worst| errors.worst() > worst.worst()) {
            worst = Some(errors);
        }
    }
    let errors = worst.ok_or("there is no benchmark")?;
    Ok((errors, of_all))
}

/// Measured and simulated distributions of all benchmarks together.
fn picture(benchmarks: &[Benchmark], outcomes: &[Outcome], fitted: &Fitted) -> String {
    let mut panels = ["TTFT, ms", "TPOT, ms", "E2E, s"].map(|title| {
        let none = |name: &str| (name.to_owned(), Vec::new());
        Distributions {
            title: format!("{title} (share of requests, %)"),
            values: vec![none("measured"), none("simulated")],
        }
    });
    for (benchmark, outcome) in benchmarks.iter().zip(outcomes) {
        for (record, &(ttft, e2e)) in benchmark.records.iter().zip(&outcome.times) {
            let of_token = tpot(ttft, e2e, record.output_tokens);
            let simulated = [(ttft + fitted.overhead) * 1e3, of_token * 1e3, e2e + fitted.overhead];
            let measured = [record.ttft * 1e3, record.tpot() * 1e3, record.e2e];
            for (panel, values) in panels.iter_mut().zip(measured.into_iter().zip(simulated)) {
                panel.values[0].1.push(values.0);
                panel.values[1].1.push(values.1);
            }
        }
    }
    plot::distributions(&panels)
}
