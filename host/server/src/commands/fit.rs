//! `rehearsal fit`: a latency profile from the files of a benchmark.

mod args;
mod report;

use std::path::PathBuf;

use clap::Parser;
use rehearsal_timing::Benchmark;
use rehearsal_timing::import::import;

use super::files::text_of;
use super::token_ids::add_prompts;
use crate::said::{self, Said};

pub(super) use args::FitArgs;

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

pub(super) fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let command: Command = match said::parsed("rehearsal fit", words) {
        Ok(command) => command,
        Err(said) => return said,
    };
    let benchmarks = command.benchmarks()?;
    let options = command.fit.options()?;
    command.fit.fit(&benchmarks, &options).map(Said::Text).map_err(|problem| vec![problem])
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
