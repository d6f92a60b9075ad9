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
    /// What the client calls it.
    pub request_id: RequestId,
    /// Keeps the KV cache apart.
    pub cache_salt: Option<String>,
    /// Where priorities count, the lowest is served first.
    pub priority: i64,
    /// The answer tells ids of tokens, or of its prompt's.
    pub wants_token_ids: bool,
    /// A prompt of a text gets the tokens that the model wants around each.
    pub add_special_tokens: Option<bool>,
}

/// What a client calls its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestId {
    /// Behind what all ids of the endpoint begin with. A header wins.
    Suffix(Option<String>),
    /// The whole id; no header counts.
    Whole(Option<String>),
}

/// Sampling parameters as the client gave them, whether or not they shape a simulated answer. What is checked of each
/// stands in `validate.rs`.
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
    /// Tokens that end it.
    pub stop_token_ids: Vec<i64>,
    /// Keep the string that ended it.
    pub include_stop_str_in_output: bool,
    /// The client's own seed.
    pub seed: Option<i64>,
    /// How random the output is.
    pub temperature: Option<f64>,
    /// The share of likeliest tokens that may be drawn.
    pub top_p: Option<f64>,
    /// How many of them.
    pub top_k: Option<i64>,
    /// How likely the others must be, compared with the likeliest.
    pub min_p: Option<f64>,
    /// Against tokens that were there before.
    pub presence_penalty: Option<f64>,
    /// Likewise, the more often they were.
    pub frequency_penalty: Option<f64>,
    /// Likewise, as a factor.
    pub repetition_penalty: Option<f64>,
    /// Search with `n` beams.
    pub use_beam_search: bool,
    /// Log-probabilities per output token, by the name that the client used; -1 is all.
    pub logprobs: Option<(&'static str, i64)>,
    /// Log-probabilities per prompt token; -1 is all.
    pub prompt_logprobs: Option<i64>,
    /// The tokens whose log-probabilities are wanted.
    pub logprob_token_ids: Option<Vec<i64>>,
    /// What is added to the likelihood of tokens, by their ids.
    pub logit_bias: Vec<String>,
    /// The only tokens that may be drawn.
    pub allowed_token_ids: Option<Vec<i64>>,
    /// Words that must not come.
    pub bad_words: Vec<String>,
    /// Most tokens of reasoning.
    pub thinking_token_budget: Option<i64>,
    /// Most prompt tokens; -1: as many as the window has room for.
    pub truncate_prompt_tokens: Option<i64>,
    /// The prompt loses its end, not its beginning.
    pub truncates_right: bool,
    /// End an output that repeats itself: largest and smallest pattern, and how often it comes.
    pub repetition_detection: Option<[i64; 3]>,
}

impl Sampling {
    /// How many log-probabilities there are to be told for each position.
    pub fn n_logprobs(&self) -> Option<usize> {
        // A number below 0 is refused before anything is written.
        self.logprobs.map(|(_, n)| usize::try_from(n).unwrap_or_default())
    }
}
