//! `rehearsal completions`: what a shell needs to complete flags.

use clap::Parser;
use clap_complete::Shell;

use crate::args;
use crate::said::{self, Said};

/// Print completions for a shell
#[derive(Debug, Parser)]
#[command(name = "rehearsal completions")]
struct Completions {
    /// The shell
    shell: Shell,
}

pub(super) fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let Completions { shell } = match said::parsed("rehearsal completions", words) {
        Ok(completions) => completions,
        Err(said) => return said,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "rehearsal", &mut script);
    Ok(Said::Text(String::from_utf8_lossy(&script).into_owned()))
}
