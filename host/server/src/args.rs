//! What the user said, on the command line, in the environment and in a file: by key, from the layer that wins. No meaning
//! yet: that is `config.rs`.

mod file;
mod help;
mod keys;
mod names;
mod print;
mod words;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{Origin, Settings};
use keys::{ALLOW_UNKNOWN_FLAGS, CONFIG};

pub use help::command;
pub use names::specs;

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
    let mut settings = Settings::default();
    words.without_effect.into_iter().for_each(|name| settings.ignore(name));
    for given in words.values {
        settings.fill(given.spec.name, given.value, Origin::CommandLine);
    }
    read_environment(env, &mut settings);
    if let Some(Ok(path)) = settings.get(&CONFIG.spec).map(|(value, _)| (CONFIG.parse)(value)) {
        for entry in file::read(&path, &mut problems) {
            match entry {
                file::Entry::Key(spec, value) => settings.fill(spec.name, value, Origin::File(path.clone())),
                file::Entry::WithoutEffect(name) => settings.ignore(name),
                file::Entry::Unknown(what) => unknown.push(format!("{path}: {what}")),
            }
        }
    }
    match settings.get(&ALLOW_UNKNOWN_FLAGS.spec).map(|(value, _)| (ALLOW_UNKNOWN_FLAGS.parse)(value)) {
        Some(Ok(true)) => unknown.into_iter().for_each(|what| settings.warn(what)),
        Some(Err(problem)) => problems.push(format!("{}: {problem}", ALLOW_UNKNOWN_FLAGS.spec.name)),
        Some(Ok(false)) | None => drop(problems.splice(0..0, unknown)),
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(match words.wants {
        words::Wants::PrintConfig => Parsed::PrintConfig(settings),
        _ => Parsed::Run(settings),
    })
}

/// What is in force and where it came from, as YAML that `--config` accepts.
pub fn yaml(settings: &Settings) -> String {
    print::yaml(settings)
}

/// Variables that are keys, or other spellings of them; and those of vLLM's that mean nothing here.
fn read_environment(env: impl IntoIterator<Item = (String, String)>, settings: &mut Settings) {
    let env: BTreeMap<String, String> = env.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    for spec in specs() {
        if let Some(name) = spec.env
            && let Some(value) = env.get(name)
        {
            settings.fill(spec.name, Value::String(value.clone()), Origin::Environment(name));
        }
    }
    let is_known = |name: &str| specs().any(|spec| spec.env == Some(name));
    let vllms = env.into_keys().filter(|name| name.starts_with("VLLM_") && !is_known(name));
    vllms.for_each(|name| settings.ignore(name));
}
