//! What a client asks for, whatever the endpoint: its types are right, and nothing else was checked.

use rehearsal_engine::Endpoint;
use rehearsal_engine::request::Wishes;

use super::transfer::Transfer;
use crate::prompts::Input;

/// A request as a surface read it.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Where it came in.
    pub endpoint: Endpoint,
    /// Which model; `None` or empty is the served one.
    pub model: Option<String>,
    /// What is to be answered.
    pub input: Input,
    /// How to sample.
    pub sampling: Sampling,
    /// Tools, the form of the answer, reasoning.
    pub wishes: Wishes,
    /// Answer as Server-Sent Events.
    pub stream: bool,
    /// Prefill and decode on different servers.
    pub transfer: Option<Transfer>,
    /// Suffix of the ids, unless a header gives one.
    pub request_id: Option<String>,
    /// Keeps the KV cache apart.
    pub cache_salt: Option<String>,
}

/// Sampling parameters as the client gave them, whether or not they shape a simulated answer.
#[derive(Debug, Clone, Default)]
pub struct Sampling {
    /// Choices per prompt.
    pub n: i64,
    /// Most output tokens, by the name that the client used.
    pub max_tokens: Option<(&'static str, i64)>,
    /// 0 where a prompt alone may be asked for, else 1.
    pub least_max_tokens: i64,
    /// Fewest output tokens.
    pub min_tokens: i64,
    /// Do not stop before the limit.
    pub ignore_eos: bool,
    /// Strings that end the output.
    pub stop: Vec<String>,
    /// Keep them.
    pub include_stop_str_in_output: bool,
    /// The client's own seed.
    pub seed: Option<i64>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// Above 0, to 1.
    pub top_p: Option<f64>,
    /// -1, 0, or at least 1.
    pub top_k: Option<i64>,
    /// 0 to 1.
    pub min_p: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Above 0.
    pub repetition_penalty: Option<f64>,
    /// Log-probabilities per output token, by the name that the client used; -1 is all.
    pub logprobs: Option<(&'static str, i64)>,
    /// Log-probabilities per prompt token; -1 is all.
    pub prompt_logprobs: Option<i64>,
}

impl Sampling {
    /// How many log-probabilities there are to be told for each position.
    pub fn n_logprobs(&self) -> Option<usize> {
        // A number below 0 is refused before anything is written.
        self.logprobs.map(|(_, n)| usize::try_from(n).unwrap_or_default())
    }
}
