//! Reads what was given, key by key, and takes down all that is wrong.

use serde_json::{Map, Value};

use super::number::{Number, function};
use super::{COUNTERS, ENDED, GAUGES, HISTOGRAMS, HITS, LORAS, QUERIES, REASONS};
use crate::config::values;
use crate::nearest::did_you_mean;

/// What was given, read key by key.
pub(super) struct Reading<'a> {
    pub(super) given: &'a Map<String, Value>,
    pub(super) problems: &'a mut Vec<String>,
}

impl<'a> Reading<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.given.get(key).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, key: &str, value: &Value, expected: &str) {
        self.problems.push(format!("{key}: {value} is not {expected}"));
    }

    pub(super) fn refuse_unknown(&mut self) {
        let known: Vec<_> = GAUGES
            .iter()
            .map(|(key, ..)| *key)
            .chain(COUNTERS.iter().map(|(key, _)| *key))
            .chain(HISTOGRAMS.iter().map(|(key, ..)| *key))
            .chain([ENDED, LORAS])
            .collect();
        for key in self.given.keys().filter(|key| !known.contains(&key.as_str())) {
            let meant = did_you_mean(key, known.iter().copied());
            self.problems.push(format!("{key:?} is no fake metric{meant}"));
        }
    }

    pub(super) fn number(&mut self, key: &str, most: f64) -> Option<Number> {
        let value = self.get(key)?;
        let is_whole = most.is_infinite();
        let number = match value {
            Value::Number(number) => number.as_f64().map(Number::Fixed),
            Value::String(text) => function(text),
            _ => None,
        };
        let in_range = |value: f64| value.is_finite() && value >= 0.0 && value <= most;
        let is_fine = match number {
            Some(Number::Fixed(value)) => in_range(value) && (!is_whole || value.fract() == 0.0),
            Some(Number::Function { ends, .. }) => ends.into_iter().all(in_range),
            None => false,
        };
        if !is_fine {
            let range = if is_whole { "a whole number from 0" } else { "a number from 0 to 1" };
            let functions = "\"FUNCTION:START:END:PERIOD\" with oscillate, ramp, rampreset or squarewave";
            self.refuse(key, value, &format!("{range}, nor {functions} within that range"));
        }
        number.filter(|_| is_fine)
    }

    pub(super) fn count(&mut self, key: &str) -> Option<u64> {
        let value = self.get(key)?;
        let count = value.as_u64();
        if count.is_none() {
            self.refuse(key, value, "a whole number from 0");
        }
        count
    }

    pub(super) fn counts(&mut self, key: &str, most: usize) -> Option<Vec<u64>> {
        let value = self.get(key)?;
        let counts = value.as_array().and_then(|list| list.iter().map(Value::as_u64).collect::<Option<Vec<_>>>());
        let fits = |counts: &Vec<u64>| counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count)).is_some();
        let counts = counts.filter(|counts| counts.len() <= most && fits(counts));
        if counts.is_none() {
            self.refuse(
                key,
                value,
                &format!("a list of at most {most} whole numbers from 0, one for each bucket, of 64 bits together"),
            );
        }
        counts
    }

    pub(super) fn check_prefix_cache(&mut self) {
        let [hits, queries] = [HITS, QUERIES].map(|key| self.get(key));
        if hits.is_some() != queries.is_some() {
            self.problems.push(format!("{HITS} and {QUERIES} must be given together"));
        } else if let (Some(hits), Some(queries)) = (hits.and_then(Value::as_u64), queries.and_then(Value::as_u64))
            && hits > queries
        {
            self.problems.push(format!("{HITS}: {hits} is more than the {queries} of {QUERIES}"));
        }
    }

    pub(super) fn ended(&mut self) -> Vec<(String, u64)> {
        let Some(value) = self.get(ENDED) else { return Vec::new() };
        let Some(object) = value.as_object() else {
            self.refuse(ENDED, value, "an object of reasons and how often each came");
            return Vec::new();
        };
        let mut ended = Vec::new();
        for (reason, count) in object {
            match count.as_u64() {
                _ if !REASONS.contains(&reason.as_str()) => {
                    let known = REASONS.join(", ");
                    self.problems.push(format!("{ENDED}: {reason:?} is no reason; known are {known}"));
                }
                None => self.refuse(&format!("{ENDED}.{reason}"), count, "a whole number from 0"),
                Some(count) => ended.push((reason.clone(), count)),
            }
        }
        ended
    }

    /// Each is an object, or its JSON text, as the reference simulator writes them in YAML.
    pub(super) fn loras(&mut self) -> Option<Vec<(String, String, f64)>> {
        let value = self.get(LORAS)?;
        let row = |item: &Value| {
            let object = values::json_object(item).ok()?;
            if object.keys().any(|key| !["running", "waiting", "timestamp"].contains(&key.as_str())) {
                return None;
            }
            let names = |key: &str| match object.get(key) {
                None | Some(Value::Null) => Some(String::new()),
                Some(Value::String(names)) => Some(names.clone()),
                _ => None,
            };
            Some((names("running")?, names("waiting")?, object.get("timestamp").map_or(Some(0.0), Value::as_f64)?))
        };
        let rows = value.as_array().and_then(|list| list.iter().map(row).collect::<Option<Vec<_>>>());
        if rows.is_none() {
            let expected = r#"a list of {"running": "a,b", "waiting": "c", "timestamp": 1.5}"#;
            self.refuse(LORAS, value, expected);
        }
        rows
    }
}
