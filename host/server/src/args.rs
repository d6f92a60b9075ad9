//! Exactly what the user said, on the command line, in the environment and in a file. No meaning yet: that is
//! `config.rs`. The one place that reads the environment.

mod file;
mod help;
mod names;
mod print;
mod words;

use std::collections::BTreeMap;

use serde_json::Value;
use tracing::warn;

use crate::config;
use crate::config::key::{Spec, keys};

pub use help::command;
pub use names::nearest;

keys! { Serving:
    CONFIG: () = Spec::one("config", "FILE").help("a YAML file with any of these keys; flags win over it"), |_| Ok(());
    ALLOW_UNKNOWN_FLAGS: bool = Spec::switch("allow-unknown-flags").default("false")
        .help("warn of flags and keys that nobody knows, instead of refusing them"), |value| Ok(*value != "false" && *value != false);
}

/// What to do after reading the arguments.
#[derive(Debug)]
pub enum Parsed {
    /// Serve.
    Run(Settings),
    /// Print this and stop: help or version.
    Print(String),
    /// Print what is in force and stop, if it makes sense.
    PrintConfig(Settings),
}

/// Raw values by key, each from the layer that wins.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, (Value, Origin)>,
    /// Names of vLLM's or the simulator's that mean nothing here, as the user wrote them.
    without_effect: Vec<String>,
    warnings: Vec<String>,
}

/// Where a value came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    CommandLine,
    /// This variable.
    Environment(&'static str),
    /// This configuration file.
    File(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CommandLine => f.write_str("the command line"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => f.write_str(path),
        }
    }
}

impl Settings {
    /// The value of a key and where it came from; `None` if the user said nothing of it.
    pub fn get(&self, spec: &Spec) -> Option<&(Value, Origin)> {
        self.values.get(spec.name)
    }

    /// What a user should know of that is no problem: accepted names that mean nothing here, all in one line, and what
    /// nobody knows, where that is allowed.
    pub fn notes(&self) -> impl Iterator<Item = String> + '_ {
        let names = &self.without_effect;
        let without_effect = (!names.is_empty()).then(|| format!("accepted, without effect here: {}", names.join(" ")));
        without_effect.into_iter().chain(self.warnings.iter().cloned())
    }

    /// Logs the notes.
    pub fn tell(&self) {
        self.notes().for_each(|note| warn!("{note}"));
    }

    /// What is in force and where it came from, as YAML that `--config` accepts.
    pub fn yaml(&self) -> String {
        print::yaml(self)
    }

    fn fill(&mut self, key: &'static str, value: Value, origin: Origin) {
        self.values.entry(key).or_insert((value, origin));
    }
}

/// Reads all layers: flags over environment over file. `args` begins with the program's name, which may be followed by
/// `serve`. Fails with every problem found.
pub fn parse(
    args: impl IntoIterator<Item = String>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Parsed, Vec<String>> {
    let words = words::read(args.into_iter().skip(1));
    match words.wants {
        words::Wants::Help => return Ok(Parsed::Print(help::text())),
        words::Wants::Version => {
            return Ok(Parsed::Print(concat!("rehearsal ", env!("CARGO_PKG_VERSION"), "\n").into()));
        }
        words::Wants::Run | words::Wants::PrintConfig => {}
    }
    let (mut problems, mut unknown) = (words.problems, words.unknown);
    let mut settings = Settings { without_effect: words.without_effect, ..Settings::default() };
    for (spec, value) in words.values {
        settings.fill(spec.name, value, Origin::CommandLine);
    }
    read_environment(env, &mut settings);
    if let Some((Value::String(path), _)) = settings.get(&CONFIG.spec).cloned() {
        let entries = file::read(&path, &mut problems);
        for entry in entries {
            match entry {
                file::Entry::Key(spec, value) => settings.fill(spec.name, value, Origin::File(path.clone())),
                file::Entry::WithoutEffect(name) => settings.without_effect.push(name),
                file::Entry::Unknown(what) => unknown.push(format!("{path}: {what}")),
            }
        }
    }
    let allows_unknown = settings.get(&ALLOW_UNKNOWN_FLAGS.spec);
    if allows_unknown.is_some_and(|(value, _)| (ALLOW_UNKNOWN_FLAGS.parse)(value) == Ok(true)) {
        settings.warnings = unknown;
    } else {
        problems.splice(0..0, unknown);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(match words.wants {
        words::Wants::PrintConfig => Parsed::PrintConfig(settings),
        _ => Parsed::Run(settings),
    })
}

/// Variables that are keys, or other spellings of them; and those of vLLM's that mean nothing here.
fn read_environment(env: impl IntoIterator<Item = (String, String)>, settings: &mut Settings) {
    let env: BTreeMap<String, String> = env.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    for spec in config::specs() {
        if let Some(name) = spec.env
            && let Some(value) = env.get(name)
        {
            settings.fill(spec.name, Value::String(value.clone()), Origin::Environment(name));
        }
    }
    let is_known = |name: &str| config::specs().any(|spec| spec.env == Some(name));
    let vllms = env.into_keys().filter(|name| name.starts_with("VLLM_") && !is_known(name));
    settings.without_effect.extend(vllms);
}
