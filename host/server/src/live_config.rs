//! What the user said of each key, as it is in force, and changes of it while the server runs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use crate::config::{Config, Origin, Settings, Spec, specs};
use crate::nearest::nearest;

/// The settings of a server that runs.
pub struct LiveConfig(Mutex<Settings>);

impl LiveConfig {
    /// As they were at the start.
    pub fn new(settings: Settings) -> Self {
        Self(Mutex::new(settings))
    }

    /// Every key with its value: what was said of it, or else its default, or null. Secrets are not shown.
    pub fn shown(&self) -> Map<String, Value> {
        let settings = self.lock();
        let value = |spec: &Spec| match settings.get(spec) {
            Some(_) if spec.is_secret => "***".into(),
            Some((value, _)) => value.clone(),
            None if spec.default.is_empty() => Value::Null,
            None => spec.default.into(),
        };
        specs().map(|spec| (spec.name.to_owned(), value(spec))).collect()
    }

    /// Understands all settings with these changes, and lets `apply` do what follows; null takes back what was said. Fails
    /// with everything that is wrong, and then nothing is changed.
    pub fn change(&self, changes: Map<String, Value>, apply: impl FnOnce(&Config)) -> Result<(), Vec<String>> {
        let mut settings = self.lock();
        let mut changed = settings.clone();
        let mut problems = Vec::new();
        for (key, value) in changes {
            match specs().find(|spec| spec.name == key || spec.aliases.contains(&key.as_str())) {
                Some(spec) if spec.is_live => changed.replace(spec.name, value, Origin::Admin),
                Some(_) => problems.push(format!("{key}: cannot be changed while the server runs")),
                None => {
                    let meant = nearest(&key, specs().map(|spec| spec.name));
                    let meant = meant.map(|known| format!(", did you mean {known:?}?")).unwrap_or_default();
                    problems.push(format!("{key:?} is no key{meant}"));
                }
            }
        }
        match Config::new(&changed) {
            Ok(config) if problems.is_empty() => {
                apply(&config);
                *settings = changed;
                Ok(())
            }
            Ok(_) => Err(problems),
            Err(more) => Err(problems.into_iter().chain(more).collect()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Settings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
