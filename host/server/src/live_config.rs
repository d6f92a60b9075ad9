//! What the user said of each key, as it is in force, and changes of it while the server runs.

use serde_json::{Map, Value};
use tokio::sync::{Mutex, MutexGuard};

use crate::config::steps;
use crate::config::{Config, Origin, Settings, Spec, specs};
use crate::nearest::did_you_mean;

/// The settings of a server that runs.
pub struct LiveConfig(Mutex<Settings>);

/// A change that makes sense, and that no other can come between.
pub struct Change<'a> {
    settings: MutexGuard<'a, Settings>,
    changed: Settings,
    /// All of it, with what is changed.
    pub config: Config,
    /// All of it as it was.
    pub before: Config,
}

impl LiveConfig {
    /// As they were at the start.
    pub fn new(settings: Settings) -> Self {
        Self(Mutex::new(settings))
    }

    /// Every key with its value: what was said of it, or else its default, or null. Secrets are not shown.
    pub async fn shown(&self) -> Map<String, Value> {
        let settings = self.0.lock().await;
        let keys = specs().filter(|spec| spec.is_in_files());
        keys.map(|spec| (spec.name.to_owned(), shown(spec, &settings))).collect()
    }

    /// Understands all settings with these changes, which are asked for once no other change can come between; null takes
    /// back what was said. Fails with everything that is wrong.
    pub async fn understand(&self, changes: impl FnOnce() -> Map<String, Value>) -> Result<Change<'_>, Vec<String>> {
        let settings = self.0.lock().await;
        let mut changed = settings.clone();
        let mut problems = Vec::new();
        for (key, value) in changes() {
            match specs().find(|spec| spec.is_called(&key)) {
                Some(spec) if spec.is_live => changed.replace(spec.name, value, Origin::Admin),
                // What was shown and is sent back changes nothing.
                Some(spec) if shown(spec, &settings) == value => {}
                Some(_) => problems.push(format!("{key}: cannot be changed while the server runs")),
                None => {
                    let meant = did_you_mean(&key, specs().map(|spec| spec.name));
                    problems.push(format!("{key:?} is no key{meant}"));
                }
            }
        }
        let before = Config::new(&settings)?;
        match Config::new(&changed) {
            Ok(config) if steps::is_changed(&before.engine, &config.engine) => {
                problems.push("latency-calculator: whether it is step cannot be changed while the server runs".into());
                Err(problems)
            }
            Ok(config) if problems.is_empty() => Ok(Change { settings, changed, config, before }),
            Ok(_) => Err(problems),
            Err(more) => Err(problems.into_iter().chain(more).collect()),
        }
    }
}

fn shown(spec: &Spec, settings: &Settings) -> Value {
    match settings.get(spec) {
        Some(_) if spec.is_secret => "***".into(),
        Some((value, _)) => value.clone(),
        None if spec.default.is_empty() => Value::Null,
        None => spec.default.into(),
    }
}

impl Change<'_> {
    /// It has taken effect.
    pub fn commit(mut self) {
        *self.settings = self.changed;
    }
}

#[cfg(test)]
mod tests {
    use rehearsal_timing::profile::builtin;

    use super::*;
    use crate::args::{self, Parsed};

    /// The profile itself cannot be changed while the server runs.
    #[tokio::test]
    async fn a_profiles_file_that_is_gone_or_changed_is_as_it_was_at_the_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |name: &str| std::fs::write(&file, builtin(name).unwrap().to_yaml()).unwrap();
        write("llama-3.1-8b-a100");
        let line = ["rehearsal", "--model", "m", "--latency-calculator", "step", "--latency-profile"];
        let words = line.into_iter().chain(file.path().to_str()).map(str::to_owned);
        let Ok(Parsed::Run(settings)) = args::parse(words, []) else { panic!("these are flags") };
        let config = Config::new(&settings).unwrap();
        let live = LiveConfig::new(config.settings.clone());
        let steps_then = async || {
            let changes = || Map::from_iter([("failure-injection-rate".to_owned(), Value::from(10))]);
            live.understand(changes).await.map(|change| change.config.engine.steps)
        };
        write("qwen3-8b-h100");
        assert_eq!(steps_then().await, Ok(config.engine.steps.clone()));
        drop(file);
        assert_eq!(steps_then().await, Ok(config.engine.steps));
    }
}
