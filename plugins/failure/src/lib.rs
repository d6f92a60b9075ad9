//! Fails requests on purpose: at a rate, by rules, or because a header says so.

mod kinds;
mod rules;

use rehearsal_sdk::{ApiError, Arrival, CallError, Description, FailureSelector, Outcome, Plugin, RngExt, export, rng};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use kinds::KINDS;
use rules::Rule;

/// The header that forces an error of this status.
const FORCING_HEADER: &str = "x-return-error";

/// What a rule can look at, and the forcing header: what the host is asked to send does not depend on the rules.
const HEADERS: [&str; 2] = ["x-*", "user-agent"];

/// What it can be configured with.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Chance of a failure, in percent.
    #[schemars(range(max = 100))]
    failure_injection_rate: u8,
    /// Their names; none: all.
    failure_types: Vec<String>,
    rules: Vec<Map<String, Value>>,
}

/// The plugin, with its configuration.
pub struct Failures {
    /// Chance of a failure, in percent.
    rate: u8,
    /// What it is drawn from; a name that is listed twice weighs twice.
    kinds: Vec<String>,
    rules: Vec<Rule>,
}

impl Plugin for Failures {
    type Config = Config;

    fn describe() -> Description {
        let summary = "fails requests at a rate, by rules, or because a header says so";
        Description::new("failure", env!("CARGO_PKG_VERSION"), summary)
            .needing(HEADERS.map(|header| format!("header:{header}")))
    }

    fn new(Config { failure_injection_rate, failure_types: mut kinds, rules }: Config) -> Result<Self, String> {
        kinds.iter().try_for_each(|kind| kinds::check(kind))?;
        if kinds.is_empty() {
            kinds = KINDS.map(str::to_owned).into();
        }
        let rule = |(index, rule)| Rule::read(rule).map_err(|problem| format!("rules[{index}]: {problem}"));
        let rules = rules.iter().enumerate().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rate: failure_injection_rate, kinds, rules })
    }
}

impl FailureSelector for Failures {
    fn select(&self, arrival: &Arrival) -> Result<Vec<Outcome>, CallError> {
        if let Some(status) = arrival.header(FORCING_HEADER) {
            return Ok(vec![Outcome::now(forced(status))]);
        }
        let mut rng = rng(arrival.seed);
        if rng.random_range(0..100) < u32::from(self.rate) {
            let kind = &self.kinds[rng.random_range(0..self.kinds.len())];
            return Ok(vec![Outcome::now(kinds::error(kind, &arrival.model))]);
        }
        // Each rule draws by itself; what comes first in time is the list's order to keep.
        Ok(self.rules.iter().filter_map(|rule| rule.outcome(arrival, &mut rng)).collect())
    }
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
