//! `rehearsal fit`: a latency profile from the files of a benchmark.

use std::io::{BufRead, IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, ValueEnum};
use rehearsal_plugin_host::regular_file;
use rehearsal_timing::fit::{self, FitOptions, Fitted, Form, Run, Verdict};
use rehearsal_timing::import::import;
use rehearsal_timing::plot::{self, Distributions};
use rehearsal_timing::profile::{Coefficients, Covered, EngineLimits, Errors, Profile, Status};
use rehearsal_timing::{Benchmark, tpot};

use crate::progress;
use crate::said::{self, Said};

/// Fit a latency profile to what benchmarks measured of a real server
///
/// Reads what `vllm bench serve --save-result --save-detailed`, guidellm, aiperf and inference-perf write. Give several files of
/// the same server: a low rate, a medium one, and one that is unlimited. A third of each run is held out, to say how good the fit is
/// on what it did not see; the profile is then fitted on all of it.
#[derive(Debug, Clone, Parser)]
#[command(name = "rehearsal fit")]
struct Command {
    /// The benchmarks' files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The prompts' token ids, if prefixes repeat: a JSON list on each line, in the order of the requests
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    #[command(flatten)]
    fit: FitArgs,
}

/// The server that was measured, and what becomes of the profile.
#[derive(Debug, Clone, Args)]
pub(super) struct FitArgs {
    /// Where the profile goes; not given: to standard output, after the report
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// `--max-num-seqs` of the server (asked for, if it is not given)
    #[arg(long, value_name = "N")]
    max_num_seqs: Option<NonZeroU32>,
    /// `--max-num-batched-tokens` of the server (asked for, if it is not given)
    #[arg(long, value_name = "N")]
    max_num_batched_tokens: Option<NonZeroU32>,
    /// Blocks of its KV cache: "# GPU blocks" in its log; not given: memory was never short
    #[arg(long, value_name = "N")]
    num_gpu_blocks: Option<NonZeroU32>,
    /// Tokens of a block
    #[arg(long, value_name = "N", default_value = "16")]
    block_size: NonZeroU32,
    /// The server ran with --no-async-scheduling, or is of a version before 0.14
    #[arg(long)]
    no_async_scheduling: bool,
    /// Data-parallel ranks that shared the requests and stepped together
    #[arg(long, value_name = "N", default_value = "1")]
    data_parallel_size: NonZeroU32,
    /// What a step's time is made of
    #[arg(long, value_enum, default_value = "mix")]
    form: FormName,
    /// First requests of each run that do not count, because the server was warming up; at most a tenth of a run
    #[arg(long, value_name = "N", default_value_t = 10)]
    skip: usize,
    /// The files are the beginnings of longer runs: the same arrivals go on after them
    #[arg(long)]
    goes_on: bool,
    /// The model, for the profile
    #[arg(long, value_name = "NAME", default_value = "unknown")]
    model: String,
    /// The GPU, for the profile
    #[arg(long, value_name = "NAME", default_value = "unknown")]
    gpu: String,
    /// How the model is spread over GPUs, for the profile
    #[arg(long, value_name = "TEXT")]
    parallelism: Option<String>,
    /// vLLM's version, for the profile
    #[arg(long, value_name = "VERSION")]
    vllm: Option<String>,
    /// A picture of measured and simulated distributions, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormName {
    /// Six coefficients
    Mix,
    /// Sequences in parts of a line, and the attention of prompts: for runs of many rates
    Pieces,
}

/// What a file of a benchmark may have in bytes.
const MOST_BYTES: u64 = 1 << 30;

pub(super) fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let command: Command = match said::parsed("rehearsal fit", words) {
        Ok(command) => command,
        Err(said) => return said,
    };
    let benchmarks = command.benchmarks()?;
    let options = command.fit.options()?;
    command.fit.fit(&benchmarks, &options).map(Said::Text).map_err(|problem| vec![problem])
}

/// The text of a file that the user named.
pub(super) fn text_of(path: &Path) -> Result<String, String> {
    regular_file::read_text(path, MOST_BYTES).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// What keeps a file from being written here, as far as that is known before.
pub(super) fn no_folder(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir()).then(|| format!("cannot write {}: there is no folder {}", path.display(), folder.display()))
}

/// Writes a file that the user named.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

impl Command {
    /// Fails with what is wrong with each of the files.
    fn benchmarks(&self) -> Result<Vec<Benchmark>, Vec<String>> {
        let read = self.files.iter().map(|path| import(&path.display().to_string(), &text_of(path)?));
        let (good, bad): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
        if !bad.is_empty() {
            return Err(bad.into_iter().filter_map(Result::err).collect());
        }
        let mut benchmarks: Vec<_> = good.into_iter().flatten().flatten().collect();
        if let Some(path) = &self.prompts {
            add_prompts(&mut benchmarks, path).map_err(|problem| vec![problem])?;
        }
        Ok(benchmarks)
    }
}

impl FitArgs {
    /// What is known of the server. Fails with what is missing.
    pub(super) fn options(&self) -> Result<FitOptions, Vec<String>> {
        let max_num_seqs = asked("max-num-seqs", self.max_num_seqs);
        let max_num_batched_tokens = asked("max-num-batched-tokens", self.max_num_batched_tokens);
        let mut problems: Vec<_> =
            [&self.output, &self.plot].into_iter().flatten().filter_map(|path| no_folder(path)).collect();
        if self.data_parallel_size.get() > 1023 {
            problems.push(format!("--data-parallel-size: {} is more than 1023", self.data_parallel_size));
        }
        let (max_num_seqs, max_num_batched_tokens) = match (max_num_seqs, max_num_batched_tokens) {
            (Ok(seqs), Ok(tokens)) if problems.is_empty() => (seqs, tokens),
            (seqs, tokens) => {
                problems.extend([seqs.err(), tokens.err()].into_iter().flatten());
                return Err(problems);
            }
        };
        Ok(FitOptions {
            max_num_seqs,
            max_num_batched_tokens,
            num_gpu_blocks: self.num_gpu_blocks,
            block_size: self.block_size,
            async_scheduling: !self.no_async_scheduling,
            data_parallel_size: self.data_parallel_size,
            form: match self.form {
                FormName::Mix => Form::Mix,
                FormName::Pieces => Form::Pieces,
            },
            skip: self.skip,
            goes_on: self.goes_on,
        })
    }

    /// Fits, writes the profile, and says how good it is.
    pub(super) fn fit(&self, benchmarks: &[Benchmark], options: &FitOptions) -> Result<String, String> {
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
        let fitted = fitted("fitting on two thirds", benchmarks, &seen, options)?;
        report += &format!(
            "\nfitted on the first two thirds of each run, off on the last third, in per cent of p50, p90, p99:\n{HEAD}"
        );
        let (errors, verdict) = table(&mut report, benchmarks, &held_out, options, &fitted)?;
        let fitted = self::fitted("fitting on all", benchmarks, &all, options)?;
        report += &format!("\nfitted on all of it, off on the same:\n{HEAD}");
        table(&mut report, benchmarks, &all, options, &fitted)?;
        report += &format!("\n{}\n", verdict.words());
        let profile = self.profile(benchmarks, options, &fitted, errors)?;
        if let Some(path) = &self.plot {
            write(path, &picture(benchmarks, options, &fitted)?)?;
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
        options: &FitOptions,
        fitted: &Fitted,
        errors: Errors,
    ) -> Result<Profile, String> {
        let n: usize = benchmarks.iter().map(|benchmark| benchmark.records.len()).sum();
        let tools = benchmarks.first().map_or("", |benchmark| benchmark.tool);
        let several = (options.data_parallel_size.get() > 1).then_some(options.data_parallel_size);
        Ok(Profile {
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
            covered: Some(Covered::of(benchmarks, options, fitted)?),
            errors: Some(errors.rounded()),
        })
    }
}

const HEAD: &str = "                 TTFT                 TPOT                 E2E\n";

fn fitted(
    what: &'static str,
    benchmarks: &[Benchmark],
    counts: &[Vec<bool>],
    options: &FitOptions,
) -> Result<Fitted, String> {
    let bar = progress::steps(what, 1);
    let fitted = fit::fit(benchmarks, counts, options, &mut |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    fitted
}

/// A row of errors for each benchmark; those of the worst one, and what to think of all.
fn table(
    report: &mut String,
    benchmarks: &[Benchmark],
    counts: &[Vec<bool>],
    options: &FitOptions,
    fitted: &Fitted,
) -> Result<(Errors, Verdict), String> {
    let mut worst: Option<Errors> = None;
    let mut of_all = Verdict::Good;
    for (benchmark, counts) in benchmarks.iter().zip(counts) {
        let (errors, ms) = fit::errors(benchmark, counts, options, fitted)?;
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
fn picture(benchmarks: &[Benchmark], options: &FitOptions, fitted: &Fitted) -> Result<String, String> {
    let mut panels = ["TTFT, ms", "TPOT, ms", "E2E, s"].map(|title| {
        let none = |name: &str| (name.to_owned(), Vec::new());
        Distributions {
            title: format!("{title} (share of requests, %)"),
            values: vec![none("measured"), none("simulated")],
        }
    });
    for benchmark in benchmarks {
        let outcome = Run::new(benchmark, options).simulate(&fitted.time)?;
        for (record, (ttft, e2e)) in benchmark.records.iter().zip(outcome.times) {
            let of_token = tpot(ttft, e2e, record.output_tokens);
            let simulated = [(ttft + fitted.overhead) * 1e3, of_token * 1e3, e2e + fitted.overhead];
            let measured = [record.ttft * 1e3, record.tpot() * 1e3, record.e2e];
            for (panel, values) in panels.iter_mut().zip(measured.into_iter().zip(simulated)) {
                panel.values[0].1.push(values.0);
                panel.values[1].1.push(values.1);
            }
        }
    }
    Ok(plot::distributions(&panels))
}

/// Gives requests their prompts: a line of the file for each request of the benchmarks' files, those that failed included.
pub(super) fn add_prompts(benchmarks: &mut [Benchmark], path: &Path) -> Result<(), String> {
    let text = text_of(path)?;
    let lines: Vec<_> = text.lines().collect();
    let wanted: usize = benchmarks.iter().map(|benchmark| benchmark.records.len() + benchmark.failed).sum();
    if lines.len() != wanted {
        return Err(format!("{} has {} prompts, and there are {wanted} requests", path.display(), lines.len()));
    }
    let mut first = 0;
    for benchmark in benchmarks {
        for record in &mut benchmark.records {
            let line = first + record.index;
            let at = |problem: String| format!("{}: line {}: {problem}", path.display(), line + 1);
            let text = lines.get(line).ok_or_else(|| at("it is missing".into()))?;
            record.prompt = serde_json::from_str(text).map_err(|error| at(error.to_string()))?;
            if record.prompt.len() != record.prompt_tokens as usize {
                let (has, wants) = (record.prompt.len(), record.prompt_tokens);
                return Err(at(format!("it has {has} tokens, and the request {wants}")));
            }
        }
        first += benchmark.records.len() + benchmark.failed;
    }
    Ok(())
}

/// What was given; else what the user answers at a terminal.
fn asked(name: &str, given: Option<NonZeroU32>) -> Result<NonZeroU32, String> {
    let missing = || format!("--{name} is missing: what the server was started with, or says in its log");
    let stdin = std::io::stdin();
    match given {
        Some(given) => Ok(given),
        None if stdin.is_terminal() => {
            let mut answer = String::new();
            let _ = write!(std::io::stderr(), "--{name} of the server: ");
            stdin.lock().read_line(&mut answer).map_err(|error| error.to_string())?;
            answer.trim().parse().map_err(|_| missing())
        }
        None => Err(missing()),
    }
}
