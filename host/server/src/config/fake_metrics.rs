//! Metrics that are made up: `fake-metrics`, as the reference simulator knows them. The same rules hold at the start and
//! where they are changed at run time.

mod number;
mod reading;

use serde_json::{Map, Value};

use crate::telemetry::metrics::buckets;
use number::Number;
use reading::Reading;

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
                let tokens = observed.map(|(count, tokens)| count.saturating_mul(tokens as u64));
                counters.push((total, tokens.fold(0, u64::saturating_add)));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fake(value: Value) -> Result<FakeMetrics, Vec<String>> {
        FakeMetrics::new(value.as_object().unwrap().clone(), 1024)
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
