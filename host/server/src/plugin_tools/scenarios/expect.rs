//! What a step's answer is held to.

use std::time::Duration;

use rehearsal_plugin_host::StateEntry;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::answered::{Answered, Call};
use crate::config::duration;
use crate::wire::state_entries::Written;

/// How a connection ends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ends {
    /// With the end of the answer.
    #[default]
    Whole,
    /// In the middle of it.
    Broken,
    /// Not at all: nothing more is due.
    Never,
}

/// What is left out is not looked at, but for the status (200) and for how it ends (whole).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    status: Option<u16>,
    #[serde(default)]
    ends: Ends,
    /// The whole text.
    text: Option<String>,
    /// An expression that is found in the text.
    matches: Option<String>,
    /// A JSON Schema that admits the text, which is JSON.
    schema: Option<Value>,
    reasoning: Option<String>,
    finish_reason: Option<String>,
    /// All tool calls, in their order.
    calls: Option<Vec<ExpectedCall>>,
    error: Option<ExpectedError>,
    /// From sending the request to the end of its answer, by the engine's clock.
    #[serde(default, deserialize_with = "some_time")]
    takes: Option<Duration>,
    /// What is among that which the plugin keeps then.
    #[serde(default)]
    state: Vec<Written>,
    /// Keys that it does not keep then.
    #[serde(default)]
    not_kept: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedCall {
    name: String,
    /// Left out: any.
    arguments: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedError {
    /// An expression that is found in the message.
    message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    /// A number, as vLLM has the status there, or a word.
    code: Option<Value>,
    param: Option<String>,
}

/// As the server's flags have durations: `250ms`, `1.5s`, or a number of milliseconds.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let value = Value::deserialize(deserializer)?;
    duration(&value).map_err(serde::de::Error::custom)
}

fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    time(deserializer).map(Some)
}

impl Expect {
    /// Fails if an expression, a schema or a value is none.
    pub(super) fn check(&self) -> Result<(), String> {
        let message = self.error.as_ref().and_then(|error| error.message.as_ref());
        for (field, expression) in [("matches", self.matches.as_ref()), ("error.message", message)] {
            expression
                .map_or(Ok(()), |expression| found(expression, "").map(drop))
                .map_err(|problem| format!("{field}: {problem}"))?;
        }
        if let Some(schema) = &self.schema {
            jsonschema::validator_for(schema).map_err(|error| format!("schema: {error}"))?;
        }
        for entry in &self.state {
            StateEntry::try_from(entry.clone()).map_err(|problem| format!("state: {problem}"))?;
        }
        let of_answers = [
            ("status", self.status.is_some()),
            ("text", self.text.is_some()),
            ("matches", self.matches.is_some()),
            ("schema", self.schema.is_some()),
            ("reasoning", self.reasoning.is_some()),
            ("finish_reason", self.finish_reason.is_some()),
            ("calls", self.calls.is_some()),
            ("error", self.error.is_some()),
            ("takes", self.takes.is_some()),
        ];
        match of_answers.iter().find(|(_, is_given)| *is_given) {
            Some((field, _)) if self.ends == Ends::Never => {
                Err(format!("{field}: nothing is said of an answer that never ends"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn judge(&self, ends: Ends, answered: &Answered, took: Duration) -> Result<(), String> {
        if self.ends != ends {
            return Err(format!("ends: {}, expected {}", word(ends), word(self.ends)));
        }
        if ends != Ends::Never {
            let status = self.status.unwrap_or(200);
            let error = answered.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            same("status", &answered.status, &status).map_err(|problem| problem + &error)?;
        }
        if let Some(text) = &self.text {
            same("text", &answered.text, text)?;
        }
        if let Some(expression) = &self.matches
            && !found(expression, &answered.text)?
        {
            return Err(format!("matches: {expression} is not found in {:?}", answered.text));
        }
        if let Some(schema) = &self.schema {
            fits(schema, &answered.text).map_err(|problem| format!("schema: {problem}"))?;
        }
        if let Some(reasoning) = &self.reasoning {
            same("reasoning", &answered.reasoning, reasoning)?;
        }
        if let Some(reason) = &self.finish_reason {
            same("finish_reason", &answered.finish_reason.as_deref().unwrap_or("none"), &reason.as_str())?;
        }
        if let Some(calls) = &self.calls {
            judge_calls(calls, &answered.calls)?;
        }
        if let Some(error) = &self.error {
            error.judge(answered.error.as_ref().ok_or("error: there is none")?)?;
        }
        self.takes.map_or(Ok(()), |takes| same("takes", &took, &takes))
    }

    pub(super) fn judge_state(&self, kept: Vec<StateEntry>) -> Result<(), String> {
        for expected in &self.state {
            let expected = StateEntry::try_from(expected.clone()).map_err(|problem| format!("state: {problem}"))?;
            let entry = kept.iter().find(|entry| entry.key == expected.key);
            let entry = entry.ok_or_else(|| format!("state: there is no {:?}", expected.key))?;
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            if entry.value != expected.value {
                let (value, expected_value) = (text(&entry.value), text(&expected.value));
                return Err(format!("state: {:?} is {value:?}, expected {expected_value:?}", expected.key));
            }
            if expected.expires_in.is_some() {
                same("state: time to live", &entry.expires_in, &expected.expires_in)?;
            }
        }
        match self.not_kept.iter().find(|key| kept.iter().any(|entry| entry.key == **key)) {
            Some(key) => Err(format!("not_kept: {key:?} is kept")),
            None => Ok(()),
        }
    }
}

impl ExpectedError {
    fn judge(&self, error: &Value) -> Result<(), String> {
        if let Some(expression) = &self.message
            && !found(expression, error["message"].as_str().unwrap_or_default())?
        {
            return Err(format!("error.message: {expression} is not found in {}", error["message"]));
        }
        let text = |text: &Option<String>| text.clone().map(Value::from);
        for (field, expected) in [("type", text(&self.kind)), ("code", self.code.clone()), ("param", text(&self.param))]
        {
            if let Some(expected) = expected
                && error[field] != expected
            {
                return Err(format!("error.{field}: {}, expected {expected}", error[field]));
            }
        }
        Ok(())
    }
}

fn judge_calls(expected: &[ExpectedCall], calls: &[Call]) -> Result<(), String> {
    let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
    let expected_names: Vec<_> = expected.iter().map(|call| call.name.as_str()).collect();
    same("calls", &names, &expected_names)?;
    for (expected, call) in expected.iter().zip(calls) {
        let Some(arguments) = &expected.arguments else { continue };
        let given: Value = serde_json::from_str(&call.arguments)
            .map_err(|error| format!("calls: the arguments of {:?} are no JSON: {error}", call.name))?;
        if given != *arguments {
            return Err(format!("calls: the arguments of {:?} are {given}, expected {arguments}", call.name));
        }
    }
    Ok(())
}

fn fits(schema: &Value, text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("{text:?} is no JSON: {error}"))?;
    let validator = jsonschema::validator_for(schema).map_err(|error| error.to_string())?;
    validator.validate(&value).map_err(|error| format!("{error} at {:?} of {text}", error.instance_path().as_str()))
}

fn found(expression: &str, text: &str) -> Result<bool, String> {
    let expression = regex_lite::Regex::new(expression).map_err(|error| format!("{expression:?}: {error}"))?;
    Ok(expression.is_match(text))
}

fn same<T: PartialEq + std::fmt::Debug>(field: &str, is: &T, expected: &T) -> Result<(), String> {
    if is == expected { Ok(()) } else { Err(format!("{field}: {is:?}, expected {expected:?}")) }
}

fn word(ends: Ends) -> &'static str {
    match ends {
        Ends::Whole => "whole",
        Ends::Broken => "broken",
        Ends::Never => "never",
    }
}
