//! What the user said of each key, and where. Filled by `args`, read by the topics' files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rehearsal_plugin_host::regular_file;
use serde_json::Value;

use super::key::Spec;

/// Raw values by key, each from the layer that wins.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, (Value, Origin)>,
    /// Accepted names that mean nothing here, as the user wrote them.
    without_effect: Vec<String>,
    warnings: Vec<String>,
    /// Texts of files that keys name, as they were first read.
    files: Arc<Mutex<BTreeMap<PathBuf, String>>>,
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
    /// A request, while the server runs.
    Admin,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CommandLine => f.write_str("the command line"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => f.write_str(path),
            Self::Admin => f.write_str("a change while it runs"),
        }
    }
}

impl Settings {
    /// The value of a key and where it came from; `None` if the user said nothing of it.
    pub fn get(&self, spec: &Spec) -> Option<&(Value, Origin)> {
        self.values.get(spec.name)
    }

    /// The text of a file that a key names, of at most so many bytes, as it was when it was first read: where the key cannot be
    /// changed while the server runs, what its file says cannot be either.
    pub(super) fn text_of(&self, path: &Path, most: u64) -> io::Result<String> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = files.get(path) {
            return Ok(text.clone());
        }
        let text = regular_file::read_text(path, most)?;
        files.insert(path.to_owned(), text.clone());
        Ok(text)
    }

    /// What a user should know of and is no problem: accepted names that mean nothing here, all in one line, and unknown
    /// ones, where they are allowed.
    pub fn notes(&self) -> impl Iterator<Item = String> + '_ {
        let names = &self.without_effect;
        let without_effect = (!names.is_empty()).then(|| format!("accepted, without effect here: {}", names.join(" ")));
        without_effect.into_iter().chain(self.warnings.iter().cloned())
    }

    /// Takes a value, unless a higher layer has given one.
    pub(crate) fn fill(&mut self, key: &'static str, value: Value, origin: Origin) {
        self.values.entry(key).or_insert((value, origin));
    }

    /// Takes a value in the place of any other; null: takes back what was said.
    pub(crate) fn replace(&mut self, key: &'static str, value: Value, origin: Origin) {
        if value.is_null() {
            self.values.remove(key);
        } else {
            self.values.insert(key, (value, origin));
        }
    }

    /// Takes down a name that means nothing here; once, however often it comes.
    pub(crate) fn ignore(&mut self, name: String) {
        if !self.without_effect.contains(&name) {
            self.without_effect.push(name);
        }
    }

    /// Takes down what is odd.
    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }
}
