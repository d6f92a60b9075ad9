//! How the answer is to be sampled.

use std::ops::RangeInclusive;

/// vLLM's sampling parameters, as far as they shape a simulated answer.
#[derive(Debug, Clone)]
pub struct SamplingParams {
    /// Choices per prompt, at least 1.
    pub n: u32,
    /// What the client asked for; 0 only where it wants nothing but its prompt back. None: as much as the context
    /// window leaves.
    pub max_tokens: Option<u32>,
    /// Strategies pad to it; stop strings do not count before it is reached.
    pub min_tokens: u32,
    /// Generate to the limit instead of ending when the answer does.
    pub ignore_eos: bool,
    /// Strings that end the output, none of them empty.
    pub stop: Vec<String>,
    /// Tokens that end the output.
    pub stop_token_ids: Vec<u32>,
    /// End an output that repeats itself.
    pub repetition_detection: Option<RepetitionDetection>,
    /// Keep the stop string in the output.
    pub include_stop_str_in_output: bool,
    /// Makes the answer independent of all other requests.
    pub seed: Option<i64>,
}

/// When an output repeats itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepetitionDetection {
    /// Tokens of what is repeated, at least 1.
    pub pattern_sizes: RangeInclusive<usize>,
    /// How often it must come, one right after the other; at least 2.
    pub min_count: usize,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            n: 1,
            max_tokens: None,
            min_tokens: 0,
            ignore_eos: false,
            stop: Vec::new(),
            stop_token_ids: Vec::new(),
            repetition_detection: None,
            include_stop_str_in_output: false,
            seed: None,
        }
    }
}
