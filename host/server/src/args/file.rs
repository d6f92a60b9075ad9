//! A configuration file: YAML, a mapping of keys to values, with the names that the command line has.

use std::path::Path;

use rehearsal_plugin_host::regular_file;
use serde_json::Value;

use super::keys;
use super::names::{self, Meaning};
use crate::config::{self, Spec};

/// The library takes time that grows with the square of this.
const MOST_DEPTH: usize = 1000;

/// No configuration is larger.
const MOST_BYTES: u64 = 16 << 20;

/// One line of the mapping.
pub(super) enum Entry {
    /// One of our keys.
    Key(&'static Spec, Value),
    /// Accepted, and without meaning here.
    WithoutEffect(String),
    /// Unknown; the message.
    Unknown(String),
}

/// The entries of the file at `path`; what is wrong with the file goes to `problems`.
pub(super) fn read(path: &str, problems: &mut Vec<String>) -> Vec<Entry> {
    let entries = match entries(path) {
        Ok(entries) => entries,
        Err(problem) => {
            problems.push(problem);
            return Vec::new();
        }
    };
    let mut read: Vec<Entry> = Vec::new();
    for (written, value) in entries.into_iter().filter(|(_, value)| !value.is_null()) {
        match entry(&written, value) {
            Ok(Entry::Key(spec, value)) => {
                let before = read.iter().find_map(|entry| match entry {
                    Entry::Key(known, value) if known.name == spec.name => Some(value),
                    _ => None,
                });
                match before {
                    Some(before) if *before != value => {
                        problems.push(format!("{path}: {written} means the same as another key in it: give one"));
                    }
                    Some(_) => {}
                    None => read.push(Entry::Key(spec, value)),
                }
            }
            Ok(entry) => read.push(entry),
            Err(problem) => problems.push(format!("{path}: {written}: {problem}")),
        }
    }
    read
}

fn entries(path: &str) -> Result<serde_json::Map<String, Value>, String> {
    let text = regular_file::read_text(Path::new(path), MOST_BYTES)
        .map_err(|error| format!("cannot read the configuration file {path}: {error}"))?;
    if deepest(&text) > MOST_DEPTH {
        return Err(format!("{path} is not valid YAML: more than {MOST_DEPTH} brackets are open in it at a time"));
    }
    match serde_yaml_ng::from_str(&text) {
        Ok(Value::Null) => Ok(serde_json::Map::new()),
        Ok(Value::Object(entries)) => Ok(entries),
        Ok(_) => Err(format!("{path} must be a mapping of keys to values")),
        Err(error) => Err(format!("{path} is not valid YAML: {error}")),
    }
}

/// Brackets that are open at a time, wherever they stand.
fn deepest(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => continue,
        }
        deepest = deepest.max(open);
    }
    deepest
}

fn entry(written: &str, value: Value) -> Result<Entry, String> {
    let name = written.replace('_', "-");
    if name == keys::CONFIG.spec.name {
        return Err("a configuration file cannot name another".into());
    }
    Ok(match names::meaning(&name) {
        Some(Meaning::Key(spec, false)) => Entry::Key(spec, value),
        Some(Meaning::Key(spec, true)) => Entry::Key(spec, Value::Bool(!config::switch(&value)?)),
        Some(Meaning::WithoutEffect(_)) => Entry::WithoutEffect(written.to_owned()),
        Some(Meaning::Refused(what)) => return Err(what.to_owned()),
        None => Entry::Unknown(format!("unknown key {written:?}{}", names::suggestion(&name, ""))),
    })
}
