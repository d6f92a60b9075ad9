//! Reads keys from what the user said, and collects everything that is wrong.

use serde_json::Value;

use super::key::{Key, Spec};
use crate::args::{Origin, Settings};

/// What the user said, and the problems found in it so far.
pub(super) struct Reader<'a> {
    settings: &'a Settings,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Self { settings, problems: Vec::new(), warnings: Vec::new() }
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
        debug_assert!(super::specs().any(|spec| spec.name == key.spec.name), "{} is in no list", key.spec.name);
        let (value, _) = self.settings.get(&key.spec)?;
        match (key.parse)(value) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(key, problem);
                None
            }
        }
    }

    /// The value of two keys that mean the same; the first one's default. They must not contradict each other.
    pub(super) fn read_either<T: PartialEq>(&mut self, key: &Key<T>, other: &Key<T>) -> T {
        let (given, other_given) = (self.given(key), self.given(other));
        if let (Some(given), Some(other_given)) = (&given, &other_given)
            && given != other_given
        {
            let (name, value) = (key.spec.name, self.as_written(&key.spec));
            self.refuse(
                other,
                format!("{} means the same as {name}, which is {value}: give one", self.as_written(&other.spec)),
            );
        }
        given.or(other_given).unwrap_or_else(|| self.read(key))
    }

    /// Whether the user said anything about a key.
    pub(super) fn is_given<T>(&self, key: &Key<T>) -> bool {
        self.settings.get(&key.spec).is_some()
    }

    /// Adds a problem of a key's value.
    pub(super) fn refuse<T>(&mut self, key: &Key<T>, problem: impl std::fmt::Display) {
        let problem = self.of_key(&key.spec, problem);
        self.problems.push(problem);
    }

    /// Adds what is odd about a key's value, but no problem.
    pub(super) fn warn<T>(&mut self, key: &Key<T>, warning: impl std::fmt::Display) {
        let warning = self.of_key(&key.spec, warning);
        self.warnings.push(warning);
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

    /// A value as the user wrote it, for messages.
    fn as_written(&self, spec: &Spec) -> String {
        self.settings.get(spec).map_or_else(
            || spec.default.to_owned(),
            |(value, _)| value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        )
    }

    /// Everything that is wrong, or `value`.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<String>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }
}
