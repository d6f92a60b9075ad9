//! `rehearsal profile`: which latency profiles there are, and what is in one.

use clap::{Parser, Subcommand};
use rehearsal_timing::profile::{Profile, builtins};

use crate::config::steps::profile_of;
use crate::said::{self, Said};

/// The built-in latency profiles
#[derive(Debug, Clone, Parser)]
#[command(name = "rehearsal profile")]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// A line for each of them
    List,
    /// One of them, as the YAML of a file; or what a file says, if it is sound
    Show {
        /// Its name, or a file
        name: String,
    },
}

pub(super) fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let command: Command = match said::parsed("rehearsal profile", words) {
        Ok(command) => command,
        Err(said) => return said,
    };
    match command.what {
        What::List => Ok(Said::Text(list())),
        What::Show { name } => match builtins().find(|(known, _)| *known == name) {
            Some((_, yaml)) => Ok(Said::Text(yaml.to_owned())),
            None => profile_of(&name).map(|profile| Said::Text(profile.to_yaml())).map_err(|problem| vec![problem]),
        },
    }
}

fn list() -> String {
    let rows = builtins().filter_map(|(name, yaml)| {
        let profile = Profile::parse(yaml).ok()?;
        let vllm = profile.vllm.as_deref().map_or_else(String::new, |vllm| format!(", vLLM {vllm}"));
        let errors =
            profile.errors.map_or_else(String::new, |errors| format!(", off by {:.1} % at worst", errors.worst()));
        let (model, gpu, status) = (&profile.model, &profile.gpu, profile.status.label());
        Some(format!("{name:<28} {model} on {gpu}{vllm}: {status}{errors}\n"))
    });
    rows.collect()
}
