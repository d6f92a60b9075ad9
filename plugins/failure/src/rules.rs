//! Rules: everything that the contract can say, written down.
//!
//! `{"rate": 10, "types": ["server_error"]}` is the plain form; `failure` (`disconnect`, `hang`, `malformed`,
//! `{"stall": 500}`, `{"error": {"status": 418, "message": "…"}}`) says anything else, `moment` (`on-arrival`,
//! `on-schedule`, `at-end`, `{"after-tokens": 5}`, `{"after-ms": 200}`) when, `header` (`{"x-tenant-id": "a"}`, or a name
//! alone) for which requests.

use rehearsal_sdk::{ApiError, Arrival, Failure, Moment, Outcome, Rng, RngExt};
use serde_json::{Map, Value};

use crate::kinds;

/// One rule.
pub(crate) struct Rule {
    /// Chance in percent that it applies to a request that it is for.
    rate: u8,
    what: What,
    moment: Moment,
    /// Name in lower case, and value if it matters.
    header: Option<(String, Option<String>)>,
}

enum What {
    /// One of these.
    Kinds(Vec<String>),
    /// This.
    Failure(Failure),
}

impl Rule {
    /// Reads a rule, or says what is wrong with it.
    pub(crate) fn read(rule: &Map<String, Value>) -> Result<Self, String> {
        let known = ["rate", "types", "failure", "moment", "header"];
        if let Some(key) = rule.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("unknown key {key:?}; known are {}", known.join(", ")));
        }
        let rate = match rule.get("rate") {
            None => 100,
            Some(rate) => {
                let rate = rate.as_u64().filter(|rate| *rate <= 100);
                rate.ok_or("rate must be a whole number from 0 to 100")? as u8
            }
        };
        Ok(Self {
            rate,
            what: what(rule)?,
            moment: rule.get("moment").map_or(Ok(Moment::OnArrival), moment)?,
            header: rule.get("header").map(wanted_header).transpose()?,
        })
    }

    /// What the rule does to one request.
    pub(crate) fn outcome(&self, arrival: &Arrival, rng: &mut impl Rng) -> Option<Outcome> {
        // Drawn in any case, so that one rule's header does not change another rule's luck.
        let is_hit = rng.random_range(0..100) < u32::from(self.rate);
        let is_for = self.header.as_ref().is_none_or(|(name, value)| {
            arrival.header(name).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        });
        let failure = match &self.what {
            What::Failure(failure) => failure.clone(),
            What::Kinds(kinds) => {
                Failure::Error(kinds::error(&kinds[rng.random_range(0..kinds.len())], &arrival.model))
            }
        };
        (is_hit && is_for).then_some(Outcome { failure, moment: self.moment })
    }
}

fn what(rule: &Map<String, Value>) -> Result<What, String> {
    match (rule.get("types"), rule.get("failure")) {
        (Some(_), Some(_)) => Err("types and failure exclude each other".into()),
        (None, None) => Ok(What::Kinds(kinds::KINDS.map(str::to_owned).into())),
        (Some(types), None) => {
            let types = types.as_array().ok_or("types must be a list")?;
            let name = |kind: &Value| kind.as_str().map(str::to_owned).ok_or("types must be a list of names");
            let kinds = types.iter().map(name).collect::<Result<Vec<_>, _>>()?;
            kinds.iter().try_for_each(|kind| kinds::check(kind))?;
            if kinds.is_empty() { Err("types must not be empty".into()) } else { Ok(What::Kinds(kinds)) }
        }
        (None, Some(failure)) => self::failure(failure).map(What::Failure),
    }
}

fn failure(value: &Value) -> Result<Failure, String> {
    match value.as_str() {
        Some("disconnect") => return Ok(Failure::Disconnect),
        Some("hang") => return Ok(Failure::Hang),
        Some("malformed") => return Ok(Failure::Malformed),
        _ => {}
    }
    if let Some(millis) = value.get("stall") {
        return Ok(Failure::Stall(milliseconds(millis)?));
    }
    let Some(error) = value.get("error").and_then(Value::as_object) else {
        return Err(format!(
            "{value} is no failure; known are disconnect, hang, malformed, {{stall: …}}, {{error: …}}"
        ));
    };
    let status = error.get("status").and_then(Value::as_u64).filter(|status| (400..600).contains(status));
    let status = status.ok_or("the status of an error must be 400 to 599")? as u16;
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = text("message").unwrap_or_else(|| format!("an error {status}, on purpose"));
    let base = kinds::plain(status, message);
    Ok(Failure::Error(ApiError { kind: text("type"), code: text("code"), param: text("param"), ..base }))
}

fn moment(value: &Value) -> Result<Moment, String> {
    match value.as_str() {
        Some("on-arrival") => return Ok(Moment::OnArrival),
        Some("on-schedule") => return Ok(Moment::OnSchedule),
        Some("at-end") => return Ok(Moment::AtEnd),
        _ => {}
    }
    match (value.get("after-tokens"), value.get("after-ms")) {
        (Some(tokens), None) => Ok(Moment::AfterTokens(count(tokens)?)),
        (None, Some(millis)) => Ok(Moment::AfterMs(milliseconds(millis)?)),
        _ => Err(format!(
            "{value} is no moment; known are on-arrival, on-schedule, at-end, {{after-tokens: …}}, {{after-ms: …}}"
        )),
    }
}

fn count(value: &Value) -> Result<u32, String> {
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    count.ok_or_else(|| format!("{value} is not a whole number"))
}

fn milliseconds(value: &Value) -> Result<u32, String> {
    count(value).map_err(|problem| format!("{problem} of milliseconds"))
}

fn wanted_header(value: &Value) -> Result<(String, Option<String>), String> {
    let problem = || format!("{value} is no header: write its name, or {{name: value}}");
    let sent = |name: &str| {
        let name = name.to_ascii_lowercase();
        if name.starts_with("x-") || name == "user-agent" {
            return Ok(name);
        }
        Err(format!("{name:?} is a header that this plugin is not sent; it gets x-… and user-agent"))
    };
    if let Some(name) = value.as_str() {
        return Ok((sent(name)?, None));
    }
    let pair =
        value.as_object().filter(|pair| pair.len() == 1).and_then(|pair| pair.iter().next()).ok_or_else(problem)?;
    let wanted = pair.1.as_str().ok_or_else(problem)?;
    Ok((sent(pair.0)?, Some(wanted.to_owned())))
}
