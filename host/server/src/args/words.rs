//! The words of a command line, as vLLM's own parser takes them apart, and Go's `pflag`: `--name value`, `--name=value`,
//! `_` for `-`, `--no-name`, JSON in parts (`--name.part value`), lists up to the next flag, and short names of more than
//! one letter (`-tp 4`). That is not clap's grammar, which writes the help and the completions.

mod json;

use std::collections::VecDeque;

use serde_json::Value;

use super::keys;
use super::names::{self, Meaning};
use crate::config::{Spec, Takes};

/// A command line, taken apart.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) values: Vec<Given>,
    pub(super) without_effect: Vec<String>,
    pub(super) unknown: Vec<String>,
    pub(super) problems: Vec<String>,
    pub(super) wants: Wants,
}

/// A key and its value: of several, the last one; all of a list; all parts of JSON.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) spec: &'static Spec,
    pub(super) value: Value,
    /// The name that was used.
    name: String,
}

/// What the user wants to see.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    #[default]
    Run,
    Help,
    Version,
    PrintConfig,
}

/// Takes apart what follows the program's name.
pub(super) fn read(args: impl Iterator<Item = String>) -> Words {
    let mut args: VecDeque<String> = args.collect();
    args.pop_front_if(|word| word == "serve");
    let mut words = Words::default();
    let mut models = Vec::new();
    while let Some(word) = args.pop_front() {
        match Flag::parse(&word) {
            None if word == "--" => models.extend(args.drain(..)),
            None => models.push(word),
            Some(flag) => words.flag(flag, &mut args),
        }
    }
    words.models(models);
    words
}

/// A word that is a flag.
#[derive(Debug, PartialEq, Eq)]
struct Flag {
    /// As it was written, without its value, for messages.
    written: String,
    /// In kebab case, without dashes.
    name: String,
    /// What follows a dot in the name.
    part: Option<String>,
    /// What follows an equals sign.
    value: Option<String>,
}

impl Flag {
    /// `None` if the word is no flag: it begins with no dash, or with one and no letter behind it, as numbers do.
    fn parse(word: &str) -> Option<Self> {
        let (before, value) = match word.split_once('=') {
            Some((before, value)) => (before, Some(value.to_owned())),
            None => (word, None),
        };
        let (name, part) = match before.split_once('.') {
            Some((name, part)) => (name, Some(part.to_owned())),
            None => (before, None),
        };
        let written = before.to_owned();
        if let Some(name) = name.strip_prefix("--").filter(|name| !name.is_empty()) {
            return Some(Self { written, name: name.replace('_', "-"), part, value });
        }
        let short = name.strip_prefix('-').filter(|short| short.starts_with(|c: char| c.is_ascii_alphabetic()))?;
        let long = match short {
            "h" | "help" => Some("help"),
            "V" => Some("version"),
            _ => names::long_name(short),
        };
        if let Some(name) = long {
            return Some(Self { written, name: name.to_owned(), part, value });
        }
        // `-O3`, `-v4` and `-qawq`: one letter, and its value behind it.
        if let Some(name) = names::long_name(&short[..1]) {
            let value = Some(word[2..].to_owned());
            return Some(Self { written: word[..2].to_owned(), name: name.to_owned(), part: None, value });
        }
        // Not known after one dash, whatever it is after two: no name begins so.
        Some(Self { written, name: format!("-{}", short.replace('_', "-")), part, value })
    }
}

impl Words {
    fn flag(&mut self, flag: Flag, rest: &mut VecDeque<String>) {
        match flag.name.as_str() {
            "help" => return self.wants = Wants::Help,
            "version" => return self.wants = Wants::Version,
            "print-config" => return self.wants = Wants::PrintConfig,
            _ => {}
        }
        let meaning = names::meaning(&flag.name);
        let takes = match meaning {
            Some(Meaning::Key(spec, _)) => spec.takes,
            Some(Meaning::WithoutEffect(takes)) => takes,
            // How many values an unknown flag takes cannot be known. It gets them all, so that none is taken for the model.
            Some(Meaning::Refused(_)) | None => Takes::Several(""),
        };
        let behind = if flag.value.is_none() { following(takes, rest) } else { Vec::new() };
        match meaning {
            Some(Meaning::Key(spec, is_negated)) => {
                let values = flag.value.clone().map_or(behind, |value| vec![value]);
                self.key(spec, is_negated, flag, values);
            }
            Some(Meaning::WithoutEffect(_)) => self.without_effect.push(format!("--{}", flag.name)),
            Some(Meaning::Refused(what)) => self.problems.push(format!("{}: {what}", flag.written)),
            None => self.unknown.push(unknown(&flag, behind.len())),
        }
    }

    fn key(&mut self, spec: &'static Spec, is_negated: bool, flag: Flag, values: Vec<String>) {
        let written = &flag.written;
        if flag.part.is_some() && spec.takes != Takes::Json {
            return self.problems.push(format!("{written}: --{} has no parts: it is no JSON object", spec.name));
        }
        let single = values.first().cloned();
        let value = match (spec.takes, single) {
            (Takes::Switch, None) => Value::Bool(!is_negated),
            (Takes::Switch, Some(value)) if is_negated => {
                return self
                    .problems
                    .push(format!("{written}={value}: a flag that turns something off takes no value"));
            }
            (Takes::FileOnly | Takes::Environment, _) => {
                return self.problems.push(format!("{written}: {} stands in a file only: see --config", spec.name));
            }
            (Takes::Maybe(_), None) => return,
            (Takes::One(value), None) => return self.problems.push(format!("{written}: it needs a value, {value}")),
            (Takes::Several(value), None) => {
                return self.problems.push(format!("{written}: it needs a value or more, {value}"));
            }
            (Takes::Json, None) => return self.problems.push(format!("{written}: it needs a value")),
            (Takes::Several(_), Some(_)) => values.into_iter().collect(),
            (Takes::Json, Some(value)) => {
                let before = self.values.iter().find(|given| given.spec.name == spec.name);
                match json::merged(before.map(|given| &given.value), flag.part.as_deref(), value) {
                    Ok(value) => value,
                    Err(problem) => return self.problems.push(format!("{written}: {problem}")),
                }
            }
            (_, Some(value)) => Value::String(value),
        };
        match self.values.iter_mut().find(|given| given.spec.name == spec.name) {
            None => self.values.push(Given { spec, value, name: flag.name }),
            Some(Given { value: Value::Array(list), .. }) => {
                list.extend(value.as_array().cloned().unwrap_or_default());
            }
            Some(_) if spec.name == keys::CONFIG.spec.name => {
                self.problems.push(format!("{written}: there is one configuration file at most"));
            }
            Some(given) if given.name != flag.name && given.value != value && !is_negated => {
                let (name, other) = (&given.name, shown(&given.value));
                let problem =
                    format!("{written} {}: it means the same as --{name}, which is {other}: give one", shown(&value));
                self.problems.push(problem);
            }
            Some(given) => *given = Given { spec, value, name: flag.name },
        }
    }

    /// The arguments without a flag: at most the model.
    fn models(&mut self, models: Vec<String>) {
        let mut models = models.into_iter();
        let Some(model) = models.next() else { return };
        self.problems
            .extend(models.map(|word| format!("unexpected argument {word:?}: the model is {model:?} already")));
        let Some(Meaning::Key(spec, _)) = names::meaning("model") else { return };
        match self.values.iter().find(|given| given.spec.name == spec.name) {
            Some(Given { value: Value::String(other), .. }) if *other != model => {
                let problem =
                    format!("the command line names two models, {model:?} and --model {other:?}: leave one out");
                self.problems.push(problem);
            }
            Some(_) => {}
            None => self.values.push(Given { spec, value: Value::String(model), name: spec.name.to_owned() }),
        }
    }
}

/// The message about an unknown flag, whose values are not repeated: they may be secrets.
fn unknown(flag: &Flag, n_words: usize) -> String {
    let swallowed = match n_words {
        0 => String::new(),
        1 => " and the word behind it".to_owned(),
        n => format!(" and the {n} words behind it"),
    };
    let hint = names::suggestion(flag.name.trim_start_matches('-'), "--");
    format!("unknown flag {}{swallowed}{hint}", flag.written)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values that follow a flag.
fn following(takes: Takes, rest: &mut VecDeque<String>) -> Vec<String> {
    let is_value = |word: &String| Flag::parse(word).is_none() && word != "--";
    let mut values = Vec::new();
    match takes {
        Takes::Switch => {
            let says_which = |word: &String| ["true", "false"].contains(&word.to_ascii_lowercase().as_str());
            values.extend(rest.pop_front_if(|word| says_which(word)));
        }
        Takes::One(_) | Takes::Maybe(_) | Takes::Json => values.extend(rest.pop_front_if(|word| is_value(word))),
        Takes::Several(_) => {
            while let Some(value) = rest.pop_front_if(|word| is_value(word)) {
                values.push(value);
            }
        }
        Takes::FileOnly | Takes::Environment => {}
    }
    values
}

#[cfg(test)]
mod tests;
