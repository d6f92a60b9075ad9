//! Metrics that are made up: `fake-metrics`, as the reference simulator knows them. The same rules hold at the start and
//! where they are changed at run time.

use std::f64::consts::TAU;
use std::time::Duration;

use serde_json::{Map, Value};

use super::values;
use crate::nearest::nearest;
use crate::telemetry::metrics::buckets;

/// What is told in the place of what is measured. What is not given is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct FakeMetrics {
    /// As it was given, each key once.
    given: Map<String, Value>,
    /// By family.
    pub gauges: Vec<(&'static str, Number)>,
    /// By family, `_total` included.
    pub counters: Vec<(&'static str, u64)>,
    /// Counts of each bucket, by family.
    pub histograms: Vec<(&'static str, Vec<u64>)>,
    /// Requests that ended, by why.
    pub ended: Vec<(String, u64)>,
    /// Adapters that run, those that wait, and a Unix time; `None` as long as nothing is known.
    pub loras: Option<Vec<(String, String, f64)>>,
}

/// A number, or one that changes with time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// It stays.
    Fixed(f64),
    /// It goes from one to another.
    Function {
        /// How.
        shape: Shape,
        /// Between these.
        ends: [f64; 2],
        /// In this time.
        period: Duration,
    },
}

/// How a number goes from one end to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A sine around the middle.
    Oscillate,
    /// Straight, and then it stays.
    Ramp,
    /// Straight, again and again.
    RampReset,
    /// At the one for half of the time, and then at the other.
    SquareWave,
}

const RUNNING: &str = "vllm:num_requests_running";
const WAITING: &str = "vllm:num_requests_waiting";
const PROMPT_TOKENS: &str = "vllm:prompt_tokens_total";
const GENERATION_TOKENS: &str = "vllm:generation_tokens_total";
const HITS: &str = "prefix-cache-hits";
const QUERIES: &str = "prefix-cache-queries";
const ENDED: &str = "request-success-total";
const LORAS: &str = "loras";

/// Numbers of any moment, by key: their families, and the most that they may be.
const GAUGES: [(&str, &str, f64); 3] = [
    ("running-requests", RUNNING, f64::INFINITY),
    ("waiting-requests", WAITING, f64::INFINITY),
    ("kv-cache-usage", "vllm:kv_cache_usage_perc", 1.0),
];

/// Numbers that only grow, by key.
const COUNTERS: [(&str, &str); 4] = [
    ("total-prompt-tokens", PROMPT_TOKENS),
    ("total-generation-tokens", GENERATION_TOKENS),
    (HITS, "vllm:prefix_cache_hits_total"),
    (QUERIES, "vllm:prefix_cache_queries_total"),
];

/// Lists of counts, by key.
const HISTOGRAMS: [(&str, &str, Bounds); 12] = [
    ("ttft-buckets-values", "vllm:time_to_first_token_seconds", Bounds::FirstToken),
    ("tpot-buckets-values", "vllm:inter_token_latency_seconds", Bounds::BetweenTokens),
    ("request-tpot-buckets-values", "vllm:request_time_per_output_token_seconds", Bounds::BetweenTokens),
    ("e2erl-buckets-values", "vllm:e2e_request_latency_seconds", Bounds::Request),
    ("queue-time-buckets-values", "vllm:request_queue_time_seconds", Bounds::Request),
    ("inf-time-buckets-values", "vllm:request_inference_time_seconds", Bounds::Request),
    ("prefill-time-buckets-values", "vllm:request_prefill_time_seconds", Bounds::Request),
    ("decode-time-buckets-values", "vllm:request_decode_time_seconds", Bounds::Request),
    ("request-prompt-tokens", "vllm:request_prompt_tokens", Bounds::Tokens),
    ("request-generation-tokens", "vllm:request_generation_tokens", Bounds::Tokens),
    ("request-params-max-tokens", "vllm:request_params_max_tokens", Bounds::Tokens),
    ("request-max-generation-tokens", "vllm:request_max_num_generation_tokens", Bounds::Tokens),
];

/// Why requests end: vLLM's words, and those of the reference simulator.
const REASONS: [&str; 8] =
    ["stop", "length", "abort", "error", "repetition", "tool_calls", "remote_decode", "cache_threshold"];

#[derive(Clone, Copy)]
enum Bounds {
    FirstToken,
    BetweenTokens,
    Request,
    Tokens,
}

impl Bounds {
    fn of(self, max_model_len: u32) -> Vec<f64> {
        match self {
            Self::FirstToken => buckets::FIRST_TOKEN.to_vec(),
            Self::BetweenTokens => buckets::BETWEEN_TOKENS.to_vec(),
            Self::Request => buckets::REQUEST.to_vec(),
            Self::Tokens => buckets::request_tokens(max_model_len),
        }
    }
}

impl FakeMetrics {
    /// Fails with everything that is wrong. The context window decides how many buckets tokens have.
    pub fn new(given: Map<String, Value>, max_model_len: u32) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut read = Reading { given: &given, problems: &mut problems };
        read.refuse_unknown();
        let gauges =
            GAUGES.iter().filter_map(|(key, family, most)| Some((*family, read.number(key, *most)?))).collect();
        let histograms: Vec<_> = HISTOGRAMS
            .iter()
            .filter_map(|(key, family, bounds)| {
                let n_bounds = bounds.of(max_model_len).len();
                Some((*family, read.counts(key, n_bounds + 1)?))
            })
            .collect();
        let mut counters: Vec<_> =
            COUNTERS.iter().filter_map(|(key, family)| Some((*family, read.count(key)?))).collect();
        read.check_prefix_cache();
        let (ended, loras) = (read.ended(), read.loras());
        let bounds = buckets::request_tokens(max_model_len);
        for (total, of_requests) in
            [(PROMPT_TOKENS, "vllm:request_prompt_tokens"), (GENERATION_TOKENS, "vllm:request_generation_tokens")]
        {
            let counts = histograms.iter().find(|(family, _)| *family == of_requests);
            if let Some((_, counts)) = counts.filter(|_| counters.iter().all(|(family, _)| *family != total)) {
                let observed = observations(counts, &bounds);
                counters.push((total, observed.map(|(count, tokens)| count.saturating_mul(tokens as u64)).sum()));
            }
        }
        if problems.is_empty() { Ok(Self { given, gauges, counters, histograms, ended, loras }) } else { Err(problems) }
    }

    /// What was given, with changes; what they lack, or have as null, stays.
    pub fn merged(&self, changes: Map<String, Value>) -> Map<String, Value> {
        let mut given = self.given.clone();
        given.extend(changes.into_iter().filter(|(_, value)| !value.is_null()));
        given
    }
}

/// How often each value was observed: the bound of a bucket, or 1 more than the last.
pub fn observations<'a>(counts: &'a [u64], bounds: &'a [f64]) -> impl Iterator<Item = (u64, f64)> + 'a {
    let beyond = bounds.last().map(|last| last + 1.0);
    counts.iter().copied().zip(bounds.iter().copied().chain(beyond))
}

impl Number {
    /// Its value so long after it was set.
    pub fn at(self, elapsed: Duration) -> f64 {
        let Self::Function { shape, ends: [start, end], period } = self else {
            let Self::Fixed(value) = self else { return 0.0 };
            return value;
        };
        let periods = elapsed.as_secs_f64() / period.as_secs_f64();
        match shape {
            Shape::Oscillate => (start + end) / 2.0 + (end - start) / 2.0 * (TAU * periods).sin(),
            Shape::Ramp => start + (end - start) * periods.min(1.0),
            Shape::RampReset => start + (end - start) * periods.fract(),
            Shape::SquareWave => {
                if periods.fract() < 0.5 {
                    start
                } else {
                    end
                }
            }
        }
    }
}

/// What was given, read key by key.
struct Reading<'a> {
    given: &'a Map<String, Value>,
    problems: &'a mut Vec<String>,
}

impl<'a> Reading<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.given.get(key).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, key: &str, value: &Value, expected: &str) {
        self.problems.push(format!("{key}: {value} is not {expected}"));
    }

    fn refuse_unknown(&mut self) {
        let known: Vec<_> = GAUGES
            .iter()
            .map(|(key, ..)| *key)
            .chain(COUNTERS.iter().map(|(key, _)| *key))
            .chain(HISTOGRAMS.iter().map(|(key, ..)| *key))
            .chain([ENDED, LORAS])
            .collect();
        for key in self.given.keys().filter(|key| !known.contains(&key.as_str())) {
            let meant = nearest(key, known.iter().copied()).map(|known| format!(", did you mean {known:?}?"));
            self.problems.push(format!("{key:?} is no fake metric{}", meant.unwrap_or_default()));
        }
    }

    fn number(&mut self, key: &str, most: f64) -> Option<Number> {
        let value = self.get(key)?;
        let is_whole = most.is_infinite();
        let number = match value {
            Value::Number(number) => number.as_f64().map(Number::Fixed),
            Value::String(text) => function(text),
            _ => None,
        };
        let in_range = |value: f64| value >= 0.0 && value <= most;
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

    fn count(&mut self, key: &str) -> Option<u64> {
        let value = self.get(key)?;
        let count = value.as_u64();
        if count.is_none() {
            self.refuse(key, value, "a whole number from 0");
        }
        count
    }

    fn counts(&mut self, key: &str, most: usize) -> Option<Vec<u64>> {
        let value = self.get(key)?;
        let counts = value.as_array().and_then(|list| list.iter().map(Value::as_u64).collect::<Option<Vec<_>>>());
        let counts = counts.filter(|counts| counts.len() <= most);
        if counts.is_none() {
            self.refuse(key, value, &format!("a list of at most {most} whole numbers from 0, one for each bucket"));
        }
        counts
    }

    fn check_prefix_cache(&mut self) {
        let [hits, queries] = [HITS, QUERIES].map(|key| self.get(key));
        if hits.is_some() != queries.is_some() {
            self.problems.push(format!("{HITS} and {QUERIES} must be given together"));
        } else if let (Some(hits), Some(queries)) = (hits.and_then(Value::as_u64), queries.and_then(Value::as_u64))
            && hits > queries
        {
            self.problems.push(format!("{HITS}: {hits} is more than the {queries} of {QUERIES}"));
        }
    }

    fn ended(&mut self) -> Vec<(String, u64)> {
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
    fn loras(&mut self) -> Option<Vec<(String, String, f64)>> {
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

/// `ramp:0:10:1m`
fn function(text: &str) -> Option<Number> {
    let [shape, start, end, period] = text.split(':').map(str::trim).collect::<Vec<_>>()[..] else { return None };
    let shape = match shape {
        "oscillate" => Shape::Oscillate,
        "ramp" => Shape::Ramp,
        "rampreset" => Shape::RampReset,
        "squarewave" => Shape::SquareWave,
        _ => return None,
    };
    let period = values::duration(&Value::String(period.to_owned())).ok().filter(|period| !period.is_zero())?;
    Some(Number::Function { shape, ends: [start.parse().ok()?, end.parse().ok()?], period })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fake(value: Value) -> Result<FakeMetrics, Vec<String>> {
        FakeMetrics::new(value.as_object().unwrap().clone(), 1024)
    }

    #[test]
    fn a_function_goes_from_its_start_to_its_end() {
        let at = |text: &str, seconds: f64| function(text).unwrap().at(Duration::from_secs_f64(seconds));
        assert_eq!([0.0, 5.0, 10.0, 25.0].map(|seconds| at("ramp:2:4:10s", seconds)), [2.0, 3.0, 4.0, 4.0]);
        assert_eq!([0.0, 5.0, 10.0, 25.0].map(|seconds| at("rampreset:2:4:10s", seconds)), [2.0, 3.0, 2.0, 3.0]);
        assert_eq!([0.0, 4.0, 5.0, 11.0].map(|seconds| at("squarewave:2:4:10s", seconds)), [2.0, 2.0, 4.0, 2.0]);
        let quarters = [0.0, 2.5, 7.5].map(|seconds| at("oscillate:2:4:10s", seconds));
        assert!(quarters.iter().zip([3.0, 4.0, 2.0]).all(|(given, wanted)| (given - wanted).abs() < 1e-9));
    }

    #[test]
    fn totals_follow_from_what_requests_had() {
        let given = json!({ "request-prompt-tokens": [1, 2, 0, 3], "request-generation-tokens": [5], "total-generation-tokens": 9 });
        let counters = fake(given).unwrap().counters;
        // 1, 2 and 10 tokens are the bounds.
        assert_eq!(counters, [(GENERATION_TOKENS, 9), (PROMPT_TOKENS, 1 + 2 * 2 + 3 * 10)]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_by_its_key() {
        let too_many = vec![1; 24];
        let problems = fake(json!({
            "running-requests": 1.5,
            "waiting-requests": -1,
            "kv-cache-usage": "ramp:0:2:1m",
            "kv-cache-usge": 1,
            "ttft-buckets-values": too_many,
            "e2erl-buckets-values": [1, -1],
            "request-success-total": { "stop": -1, "boredom": 1 },
            "prefix-cache-hits": 5,
            "loras": [{ "runs": "a" }],
        }))
        .unwrap_err();
        let keys = ["kv-cache-usge", "running-requests", "waiting-requests", "kv-cache-usage", "ttft-", "e2erl-"];
        let keys = keys.into_iter().chain(["prefix-cache-hits and", "request-success-total.stop", "boredom", "loras"]);
        assert_eq!(problems.len(), 10, "{problems:#?}");
        for key in keys {
            assert!(problems.iter().any(|problem| problem.contains(key)), "{key}: {problems:#?}");
        }
        assert!(fake(json!({ "prefix-cache-hits": 5, "prefix-cache-queries": 4 })).is_err());
        let merged = fake(json!({ "running-requests": 1 }))
            .unwrap()
            .merged(json!({ "waiting-requests": 2, "running-requests": null }).as_object().unwrap().clone());
        assert_eq!(json!(merged), json!({ "running-requests": 1, "waiting-requests": 2 }));
    }
}
