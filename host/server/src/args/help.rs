//! The help, and the command as completions know it. clap writes both; it reads neither (see `words.rs`).

use clap::{Arg, ArgAction, Command};

use super::names::specs;
use crate::config::{Takes, accepted};

/// As wide as the narrowest terminal that is still in use.
const COLUMNS: usize = 80;

/// What `--help` prints.
pub(super) fn text() -> String {
    command().render_help().to_string()
}

/// The command line, for the help and for completions.
pub fn command() -> Command {
    let flags = specs().filter(|spec| !matches!(spec.takes, Takes::FileOnly | Takes::Environment)).map(|spec| {
        let default = if spec.default.is_empty() { String::new() } else { format!(" [default: {}]", spec.default) };
        let env = spec.env.map_or_else(String::new, |name| format!(" [env: {name}]"));
        let arg = Arg::new(spec.name)
            .long(spec.name)
            .help(format!("{}{default}{env}", spec.help))
            .help_heading(spec.topic.title())
            .visible_aliases(spec.aliases.iter().copied());
        match spec.takes {
            Takes::One(value) => arg.value_name(value),
            Takes::Maybe(value) => arg.value_name(value).num_args(0..=1),
            Takes::Several(value) => arg.value_name(value).num_args(1..),
            Takes::Json => arg.value_name("JSON"),
            _ => arg.action(ArgAction::SetTrue),
        }
    });
    let mut accepted: Vec<_> = accepted::names().collect();
    accepted.sort_unstable();
    Command::new("rehearsal")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A stand-in for a vLLM server: its API, its pace, its events; no model.")
        .override_usage("rehearsal [serve] [MODEL] [flags]\n       rehearsal check [FILE] [flags]\n       rehearsal plugin --help\n       rehearsal profile|fit|predict|calibrate|replay --help\n       rehearsal health [--port PORT]\n       rehearsal completions SHELL")
        .term_width(COLUMNS)
        .next_line_help(true)
        .arg(Arg::new("MODEL").help("Another spelling of --model"))
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("print what is in force and where it came from, as YAML that --config accepts, and stop"),
        )
        .args(flags)
        .after_help(format!(
            "Switches take nothing, true or false; --no-<name> turns one off. `_` may stand for `-`.\n\nAccepted for vLLM's and \
             llm-d-inference-sim's sake, without effect here (named once in the log):\n{}",
            accepted.join(" ")
        ))
}
