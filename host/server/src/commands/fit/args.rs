//! The server that was measured, and what becomes of the profile.

use std::io::{BufRead, IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rehearsal_timing::fit::{FitOptions, Form};

use crate::commands::files::no_folder;

/// The server that was measured, and what becomes of the profile.
#[derive(Debug, Clone, Args)]
pub(in crate::commands) struct FitArgs {
    /// Where the profile goes; not given: to standard output, after the report
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
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
    pub(in crate::commands) model: String,
    /// The GPU, for the profile
    #[arg(long, value_name = "NAME", default_value = "unknown")]
    pub(in crate::commands) gpu: String,
    /// How the model is spread over GPUs, for the profile
    #[arg(long, value_name = "TEXT")]
    pub(in crate::commands) parallelism: Option<String>,
    /// vLLM's version, for the profile
    #[arg(long, value_name = "VERSION")]
    pub(in crate::commands) vllm: Option<String>,
    /// A picture of measured and simulated distributions, as SVG
    #[arg(long, value_name = "FILE")]
    pub(in crate::commands) plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormName {
    /// Six coefficients
    Mix,
    /// Sequences in parts of a line, and the attention of prompts: for runs of many rates
    Pieces,
}

impl FitArgs {
    /// What is known of the server. Fails with what is missing.
    pub(in crate::commands) fn options(&self) -> Result<FitOptions, Vec<String>> {
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
