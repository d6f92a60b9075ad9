//! Exactly what the user said, on the command line, in the environment and in a file. No meaning yet: that is
//! `config.rs`. The one place that reads the environment.

mod keys;

use std::collections::BTreeMap;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use serde_json::Value;

pub use keys::{KEYS, Key, Takes};

/// What to do after reading the arguments.
#[derive(Debug)]
pub enum Parsed {
    /// Serve.
    Run(Settings),
    /// Print this and stop: help or version.
    Print(String),
}

/// Raw values by key, each from the layer that wins.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, (Value, Origin)>,
    environment: BTreeMap<&'static str, String>,
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

/// Variables that are not another spelling of a key.
const VARIABLES: [&str; 11] = [
    "POD_NAME",
    "POD_NAMESPACE",
    "POD_IP",
    "VLLM_SERVER_DEV_MODE",
    "HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
];

impl Settings {
    /// The value of `key` and where it came from; none if nobody said anything.
    pub fn get(&self, key: &str) -> Option<&(Value, Origin)> {
        self.values.get(key)
    }

    /// An environment variable that is not a key; none if it is empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    fn fill(&mut self, key: &'static str, value: Value, origin: Origin) {
        self.values.entry(key).or_insert((value, origin));
    }
}

/// Reads all layers: flags over environment over file. `env` looks up a variable. Fails with every problem found.
pub fn parse(args: Vec<String>, env: impl Fn(&str) -> Option<String>) -> Result<Parsed, Vec<String>> {
    let mut problems = Vec::new();
    let args = known_flags(args, &mut problems);
    let mut settings = Settings::default();
    match command().try_get_matches_from(args) {
        Ok(matches) => take_flags(&matches, &mut settings),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Parsed::Print(error.to_string()));
        }
        Err(error) => problems.push(error.to_string().trim_start_matches("error: ").trim_end().to_owned()),
    }
    let env = |name| env(name).filter(|value| !value.is_empty());
    for key in KEYS {
        if let Some(name) = key.env
            && let Some(value) = env(name)
        {
            settings.fill(key.name, Value::String(value), Origin::Environment(name));
        }
    }
    settings.environment = VARIABLES.iter().filter_map(|name| Some((*name, env(name)?))).collect();
    if let Some((Value::String(path), _)) = settings.get("config").cloned() {
        read_file(&path, &mut settings, &mut problems);
    }
    if problems.is_empty() { Ok(Parsed::Run(settings)) } else { Err(problems) }
}

/// The flags as clap knows them: one for each key.
pub fn command() -> Command {
    let flags = KEYS.iter().filter(|key| !matches!(key.takes, Takes::FileOnly)).map(|key| {
        let default = if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
        let arg = Arg::new(key.name).long(key.name).help(format!("{}{default}", key.help));
        match key.takes {
            Takes::One(name) => arg.value_name(name).allow_hyphen_values(true).action(ArgAction::Set),
            Takes::Several(name) => arg.value_name(name).num_args(1..).action(ArgAction::Append),
            Takes::Switch => arg.num_args(0..=1).default_missing_value("true").value_parser(["true", "false"]),
            Takes::FileOnly => arg,
        }
    });
    let negations = KEYS.iter().filter(|key| matches!(key.takes, Takes::Switch)).map(|key| {
        let name = format!("no-{}", key.name);
        Arg::new(name.clone()).long(name).action(ArgAction::SetTrue).hide(true)
    });
    let command = Command::new("rehearsal")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A stand-in for a vLLM server: its API, its pace, its events; no model.")
        .arg(Arg::new("MODEL").help("Another spelling of --model"))
        .args(flags)
        .args(negations)
        .args_override_self(true);
    // The klog spelling.
    command.mut_arg("v", |arg| arg.short('v'))
}

/// Takes out flags that do not exist, so that the problems of all others are found in the same run; and spells
/// `--max_num_seqs` as `--max-num-seqs`.
fn known_flags(args: Vec<String>, problems: &mut Vec<String>) -> Vec<String> {
    let mut known = Vec::new();
    let mut skips_values = false;
    for arg in args {
        let Some(flag) = arg.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            if !skips_values || arg.starts_with('-') {
                known.push(arg);
            }
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name.replace('_', "-"), format!("={value}")),
            None => (flag.replace('_', "-"), String::new()),
        };
        skips_values = !is_flag(&name);
        if skips_values {
            problems.push(format!("unknown flag --{name}{}", suggestion(&name, "--")));
        } else {
            known.push(format!("--{name}{value}"));
        }
    }
    known
}

fn is_flag(name: &str) -> bool {
    matches!(name, "help" | "version")
        || KEYS.iter().any(|key| match key.takes {
            Takes::FileOnly => false,
            Takes::Switch => name == key.name || name.strip_prefix("no-") == Some(key.name),
            Takes::One(_) | Takes::Several(_) => name == key.name,
        })
}

/// `; did you mean --port?`, if there is a key that is spelled nearly so.
fn suggestion(name: &str, prefix: &str) -> String {
    KEYS.iter()
        .map(|key| (strsim::damerau_levenshtein(name, key.name), key.name))
        .min()
        .filter(|(distance, key)| *distance <= key.len() / 2)
        .map(|(_, key)| format!("; did you mean {prefix}{key}?"))
        .unwrap_or_default()
}

fn take_flags(matches: &clap::ArgMatches, settings: &mut Settings) {
    let from_command_line = |id: &str| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
    for key in KEYS {
        let value = match key.takes {
            Takes::FileOnly => continue,
            Takes::Switch if matches.get_flag(&format!("no-{}", key.name)) => Value::Bool(false),
            _ if !from_command_line(key.name) => continue,
            Takes::One(_) | Takes::Switch => string(matches.get_one(key.name)),
            Takes::Several(_) => matches.get_many::<String>(key.name).into_iter().flatten().cloned().collect(),
        };
        settings.fill(key.name, value, Origin::CommandLine);
    }
    if let Some(model) = matches.get_one::<String>("MODEL") {
        settings.fill("model", Value::String(model.clone()), Origin::CommandLine);
    }
}

fn string(value: Option<&String>) -> Value {
    value.cloned().map_or(Value::Null, Value::String)
}

fn read_file(path: &str, settings: &mut Settings, problems: &mut Vec<String>) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return problems.push(format!("cannot read the configuration file {path}: {error}")),
    };
    let file: Value = match serde_yaml_ng::from_str(&text) {
        Ok(file) => file,
        Err(error) => return problems.push(format!("{path} is not valid YAML: {error}")),
    };
    let entries = match file {
        Value::Null => return,
        Value::Object(entries) => entries,
        _ => return problems.push(format!("{path} must be a mapping of keys to values")),
    };
    for (name, value) in entries {
        match KEYS.iter().find(|key| key.name == name.replace('_', "-") && key.name != "config") {
            Some(_) if value.is_null() => {}
            Some(key) => settings.fill(key.name, value, Origin::File(path.to_owned())),
            None => problems.push(format!("{path}: unknown key {name:?}{}", suggestion(&name, ""))),
        }
    }
}
