//! The words of a command line, as vLLM's own parser takes them apart, and Go's `pflag`: `--name value`, `--name=value`,
//! `_` for `-`, `--no-name`, JSON in parts (`--name.part value`), lists up to the next flag, and short names of more than
//! one letter (`-tp 4`). That is not clap's grammar, which writes the help and the completions.

use serde_json::{Map, Value};

use super::names::{self, Meaning};
use crate::config::{Spec, Takes};

/// A command line, taken apart.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Each key once; the last one counts, but lists grow.
    pub(super) values: Vec<(&'static Spec, Value)>,
    pub(super) without_effect: Vec<String>,
    pub(super) unknown: Vec<String>,
    pub(super) problems: Vec<String>,
    pub(super) wants: Wants,
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
    let mut args: std::collections::VecDeque<String> = args.collect();
    if args.front().is_some_and(|word| word == "serve") {
        args.pop_front();
    }
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
    /// As it was written, for messages.
    written: String,
    /// In kebab case, without dashes.
    name: String,
    /// What follows a dot in the name.
    part: Option<String>,
    /// What follows an equals sign.
    value: Option<String>,
}

impl Flag {
    /// `None` if the word is no flag: it has no dash before it, or is a number, or is no short name that is known.
    fn parse(word: &str) -> Option<Self> {
        let (before, value) = match word.split_once('=') {
            Some((before, value)) => (before, Some(value.to_owned())),
            None => (word, None),
        };
        let (name, part) = match before.split_once('.') {
            Some((name, part)) => (name, Some(part.to_owned())),
            None => (before, None),
        };
        if let Some(name) = name.strip_prefix("--").filter(|name| !name.is_empty()) {
            return Some(Self { written: before.to_owned(), name: name.replace('_', "-"), part, value });
        }
        let short = name.strip_prefix('-').filter(|short| short.starts_with(|c: char| c.is_ascii_alphabetic()))?;
        if matches!(short, "h" | "help") {
            return Some(Self { written: "-h".into(), name: "help".into(), part: None, value });
        }
        if let Some(name) = names::long_name(short) {
            return Some(Self { written: before.to_owned(), name: name.to_owned(), part, value });
        }
        // `-O3`, `-v4` and `-qawq`: one letter, and its value behind it.
        let name = names::long_name(short.get(..1)?)?;
        Some(Self {
            written: word.get(..2)?.to_owned(),
            name: name.to_owned(),
            part: None,
            value: Some(word.get(2..)?.to_owned()),
        })
    }
}

impl Words {
    fn flag(&mut self, flag: Flag, rest: &mut std::collections::VecDeque<String>) {
        match flag.name.as_str() {
            "help" => return self.wants = Wants::Help,
            "version" => return self.wants = Wants::Version,
            "print-config" => return self.wants = Wants::PrintConfig,
            _ => {}
        }
        let meaning = names::meaning(&flag.name);
        let takes = match meaning {
            Some(Meaning::Key(spec, is_negated)) => {
                if is_negated {
                    Takes::Switch
                } else {
                    spec.takes
                }
            }
            Some(Meaning::WithoutEffect(takes)) => takes,
            // Nobody knows how many values an unknown flag takes; so that not each of them is a problem too: all.
            Some(Meaning::Refused(_)) | None => Takes::Several(""),
        };
        let values = match &flag.value {
            Some(value) => vec![value.clone()],
            None => following(takes, rest),
        };
        match meaning {
            Some(Meaning::Key(spec, is_negated)) => self.key(spec, is_negated, &flag, values),
            Some(Meaning::WithoutEffect(_)) => self.without_effect.push(format!("--{}", flag.name)),
            Some(Meaning::Refused(what)) => self.problems.push(format!("{}: {what}", flag.written)),
            None => {
                self.unknown.push(format!("unknown flag {}{}", flag.written, names::suggestion(&flag.name, "--")));
            }
        }
    }

    fn key(&mut self, spec: &'static Spec, is_negated: bool, flag: &Flag, values: Vec<String>) {
        let written = &flag.written;
        if flag.part.is_some() && spec.takes != Takes::Json {
            return self.problems.push(format!("{written}: --{} has no parts: it is no JSON object", spec.name));
        }
        let single = values.first().cloned();
        let value = match (spec.takes, single) {
            (Takes::Switch, None) => Value::Bool(!is_negated),
            (Takes::Switch, Some(value)) if is_negated => {
                return self.problems.push(format!("{written}={value}: a flag that begins with no- takes no value"));
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
            (Takes::Json, Some(value)) => match self.json(spec, flag, value) {
                Ok(value) => value,
                Err(problem) => return self.problems.push(problem),
            },
            (_, Some(value)) => Value::String(value),
        };
        match self.values.iter_mut().find(|(known, _)| known.name == spec.name) {
            Some((_, Value::Array(list))) => list.extend(value.as_array().cloned().unwrap_or_default()),
            Some((_, known)) => *known = value,
            None => self.values.push((spec, value)),
        }
    }

    /// A JSON value with this one in it: whole, or a part of what was said before.
    fn json(&self, spec: &Spec, flag: &Flag, value: String) -> Result<Value, String> {
        let before = self.values.iter().find(|(known, _)| known.name == spec.name).map(|(_, value)| value.clone());
        let mut object = match before {
            Some(Value::Object(object)) => object,
            Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
            _ => Map::new(),
        };
        match &flag.part {
            Some(part) => {
                set(&mut object, part, &value).map_err(|at| format!("{}: {at} is no object", flag.written))?
            }
            None => match serde_json::from_str::<Value>(&value) {
                Ok(Value::Object(given)) => object.extend(given),
                // What is wrong with it is said by the one that reads the key.
                _ => return Ok(Value::String(value)),
            },
        }
        Ok(Value::Object(object))
    }

    /// The arguments without a flag: at most the model.
    fn models(&mut self, models: Vec<String>) {
        let mut models = models.into_iter();
        let Some(model) = models.next() else { return };
        self.problems
            .extend(models.map(|word| format!("unexpected argument {word:?}: the model is {model:?} already")));
        let Some(Meaning::Key(spec, _)) = names::meaning("model") else { return };
        match self.values.iter().find(|(known, _)| known.name == spec.name) {
            Some((_, Value::String(other))) if *other != model => {
                self.problems
                    .push(format!("the command line names two models, {model:?} and --model {other:?}: leave one out"));
            }
            Some(_) => {}
            None => self.values.push((spec, Value::String(model))),
        }
    }
}

/// The values that follow a flag.
fn following(takes: Takes, rest: &mut std::collections::VecDeque<String>) -> Vec<String> {
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

/// Puts a value where `path`, names with dots between them, leads. As in vLLM, it is JSON if it can be, and text if not;
/// a `+` at the end adds to a list. Fails with the name of what is no object on the way.
fn set(object: &mut Map<String, Value>, path: &str, value: &str) -> Result<(), String> {
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    match path.split_once('.') {
        Some((name, rest)) => {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            set(inner.as_object_mut().ok_or_else(|| name.to_owned())?, rest, value)
        }
        None => {
            match path.strip_suffix('+') {
                Some(name) => {
                    let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                    list.as_array_mut().ok_or_else(|| name.to_owned())?.extend(value.split(',').map(parsed));
                }
                None => drop(object.insert(path.to_owned(), parsed(value))),
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
