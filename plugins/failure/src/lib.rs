//! Fails requests on purpose: at a rate, by rules, or because a header says so.

mod kinds;
mod rules;

use rehearsal_sdk::{
    ApiError, Arrival, CallError, Description, Failure, FailureSelector, Moment, Outcome, Plugin, RngExt, export, rng,
};
use serde_json::Value;

use kinds::KINDS;
use rules::Rule;

/// The header that forces an error of this status.
const FORCING_HEADER: &str = "x-return-error";

/// What a rule can look at, and the forcing header: what the host is asked to send does not depend on the rules.
const HEADERS: [&str; 2] = ["x-*", "user-agent"];

/// The plugin, with its configuration.
pub struct Failures {
    /// Chance of a failure, in percent.
    rate: u8,
    /// What it is drawn from; a name that is listed twice weighs twice.
    kinds: Vec<String>,
    rules: Vec<Rule>,
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "failure-injection-rate": {"type": "integer", "minimum": 0, "maximum": 100},
    "failure-types": {"type": "array", "items": {"type": "string"}},
    "rules": {"type": "array", "items": {"type": "object"}}
  }
}"#;

impl Plugin for Failures {
    fn describe() -> Description {
        let summary = "fails requests at a rate, by rules, or because a header says so";
        let mut description =
            Description::new("failure", env!("CARGO_PKG_VERSION"), summary).with_config_schema(CONFIG_SCHEMA);
        description.needs = HEADERS.map(|header| format!("header:{header}")).into();
        description
    }

    fn new(config: &str) -> Result<Self, String> {
        let config: Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let kinds = config.get("failure-types").and_then(Value::as_array).into_iter().flatten();
        let mut kinds: Vec<String> = kinds.filter_map(Value::as_str).map(str::to_owned).collect();
        kinds.iter().try_for_each(|kind| kinds::check(kind))?;
        if kinds.is_empty() {
            kinds = KINDS.map(str::to_owned).into();
        }
        let rules = config.get("rules").and_then(Value::as_array).into_iter().flatten();
        let rule = |(index, rule)| Rule::read(rule).map_err(|problem| format!("rules[{index}]: {problem}"));
        Ok(Self {
            rate: config.get("failure-injection-rate").and_then(Value::as_u64).unwrap_or(0) as u8,
            kinds,
            rules: rules.enumerate().map(rule).collect::<Result<_, _>>()?,
        })
    }
}

impl FailureSelector for Failures {
    fn select(&self, arrival: &Arrival) -> Result<Vec<Outcome>, CallError> {
        if let Some(status) = header(arrival, FORCING_HEADER) {
            return Ok(vec![on_arrival(forced(status))]);
        }
        let mut rng = rng(arrival.seed);
        if rng.random_range(0..100) < u32::from(self.rate) {
            let kind = &self.kinds[rng.random_range(0..self.kinds.len())];
            return Ok(vec![on_arrival(kinds::error(kind, &arrival.model))]);
        }
        // Each rule draws by itself; what comes first in time is the list's order to keep.
        Ok(self.rules.iter().filter_map(|rule| rule.outcome(arrival, &mut rng)).collect())
    }
}

fn header<'a>(arrival: &'a Arrival, name: &str) -> Option<&'a str> {
    arrival.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

fn on_arrival(error: ApiError) -> Outcome {
    Outcome { failure: Failure::Error(error), moment: Moment::OnArrival }
}

fn forced(status: &str) -> ApiError {
    match status.trim().parse() {
        Ok(status @ 400..=599) => {
            kinds::plain(status, format!("this error was asked for by {FORCING_HEADER}: {status}"))
        }
        _ => kinds::plain(400, format!("{FORCING_HEADER}: {status:?} is not a status from 400 to 599")),
    }
}

export!(Failures: failure_selector);

#[cfg(test)]
mod tests;
