//! A configuration file: YAML, a mapping of keys to values, with the names that the command line has.

use serde_json::Value;

use super::names::{self, Meaning};
use crate::config::Spec;

/// One line of the mapping.
pub(super) enum Entry {
    /// One of our keys.
    Key(&'static Spec, Value),
    /// Accepted, and without meaning here.
    WithoutEffect(String),
    /// Known to nobody; what to say.
    Unknown(String),
}

/// The entries of the file at `path`; what is wrong with the file goes to `problems`.
pub(super) fn read(path: &str, problems: &mut Vec<String>) -> Vec<Entry> {
    let mut problem = |problem: String| {
        problems.push(problem);
        Vec::new()
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return problem(format!("cannot read the configuration file {path}: {error}")),
    };
    let file: Value = match serde_yaml_ng::from_str(&text) {
        Ok(file) => file,
        Err(error) => return problem(format!("{path} is not valid YAML: {error}")),
    };
    let entries = match file {
        Value::Null => return Vec::new(),
        Value::Object(entries) => entries,
        _ => return problem(format!("{path} must be a mapping of keys to values")),
    };
    let given = entries.into_iter().filter(|(_, value)| !value.is_null());
    let entry = |(written, value): (String, Value)| {
        let name = written.replace('_', "-");
        match names::meaning(&name).filter(|_| name != "config") {
            Some(Meaning::Key(spec, false)) => Some(Entry::Key(spec, value)),
            Some(Meaning::Key(spec, true)) => Some(Entry::Key(spec, Value::Bool(value == Value::Bool(false)))),
            Some(Meaning::WithoutEffect(_)) => Some(Entry::WithoutEffect(written)),
            Some(Meaning::Refused(what)) => {
                problems.push(format!("{path}: {written}: {what}"));
                None
            }
            None => Some(Entry::Unknown(format!("unknown key {written:?}{}", names::suggestion(&name, "")))),
        }
    };
    given.filter_map(entry).collect()
}
