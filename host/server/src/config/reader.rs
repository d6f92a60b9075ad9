//! Reads keys from what the user said, and collects everything that is wrong.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::key::{Key, Spec};
use super::settings::{Origin, Settings};

/// What the user said, and the problems found in it so far.
pub(super) struct Reader<'a> {
    settings: &'a Settings,
    problems: Vec<String>,
    warnings: Vec<String>,
    read: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Self { settings, problems: Vec::new(), warnings: Vec::new(), read: Vec::new() }
    }

    /// The value of a key that has a default, which is taken too where the user's value makes no sense.
    pub(super) fn read<T>(&mut self, key: &Key<T>) -> T {
        self.given(key).unwrap_or_else(|| {
            let default = Value::String(key.spec.default.to_owned());
            (key.parse)(&default).unwrap_or_else(|problem| panic!("the default of {}: {problem}", key.spec.name))
        })
    }

    /// The value of a key, if the user gave one that makes sense.
    pub(super) fn given<T>(&mut self, key: &Key<T>) -> Option<T> {
        self.read.push(key.spec.name);
        let (value, _) = self.settings.get(&key.spec)?;
        match (key.parse)(value) {
            Ok(value) => Some(value),
            // The problem repeats the value.
            Err(_) if key.spec.is_secret => {
                self.refuse(key, "the value, which is not shown, is no text or is empty");
                None
            }
            Err(problem) => {
                self.refuse(key, problem);
                None
            }
        }
    }

    /// Whether the user said anything about a key.
    pub(super) fn is_given<T>(&self, key: &Key<T>) -> bool {
        self.settings.get(&key.spec).is_some()
    }

    /// The text of a file that a key names, of at most so many bytes.
    pub(super) fn text_of(&self, path: &Path, most: u64) -> io::Result<String> {
        self.settings.text_of(path, most)
    }

    /// Adds a problem of a key's value.
    pub(super) fn refuse<T>(&mut self, key: &Key<T>, problem: impl std::fmt::Display) {
        let problem = self.of_key(&key.spec, problem);
        // A key that is read twice is wrong once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds what is odd about a key's value, but no problem.
    pub(super) fn warn<T>(&mut self, key: &Key<T>, warning: impl std::fmt::Display) {
        let warning = self.of_key(&key.spec, warning);
        self.warnings.push(warning);
    }

    /// The keys that were read.
    pub(super) fn keys_read(&self) -> &[&'static str] {
        &self.read
    }

    /// What is odd so far.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn of_key(&self, spec: &Spec, said: impl std::fmt::Display) -> String {
        let origin = match self.settings.get(spec) {
            Some((_, Origin::Environment(name))) if *name == spec.name => "the environment".into(),
            Some((_, origin)) => origin.to_string(),
            None => "the default".into(),
        };
        format!("{}: {said} (from {origin})", spec.name)
    }

    /// Adds a problem of no value.
    pub(super) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Adds what the user said of a key to a plugin's configuration, where that does not say it itself.
    pub(super) fn add_to(&mut self, config: &mut Map<String, Value>, key: &Key<Value>) {
        if let Some(value) = self.given(key) {
            config.entry(key.spec.name).or_insert(value);
        }
    }

    /// Everything that is wrong, or `value`.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<String>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }
}
