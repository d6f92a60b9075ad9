//! A latency profile: how long the steps of one model on one kind of GPU take, and what that is known of.

mod builtin;
mod coefficients;

use std::num::NonZeroU32;

use rehearsal_engine::StepConfig;
use serde::{Deserialize, Serialize};

use crate::benchmark::moment;

pub use builtin::{builtin, builtins};
pub use coefficients::{Coefficients, Part, PerSequence};

/// A profile, as its YAML file has it. Coefficients belong to model, GPU, parallelism and version together: carried to another
/// GPU by data sheet, they erred by a third.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Profile {
    /// By which a built-in one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it was measured.
    pub status: Status,
    /// The model's name.
    pub model: String,
    /// The GPU's name.
    pub gpu: String,
    /// How the model is spread over GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<String>,
    /// vLLM's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vllm: Option<String>,
    /// Where it comes from, and how it was found.
    pub source: String,
    /// How long a step takes.
    pub step_time: Coefficients,
    /// What the API server takes for a request, from its arrival to its place in the engine's queue; milliseconds.
    #[serde(default)]
    pub overhead_ms: f64,
    /// The engine that it was found on; what the user says of it goes first.
    #[serde(default)]
    pub engine: EngineLimits,
    /// What it was fitted on: beyond that, expect 10 to 40 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<Covered>,
    /// How far it was off on requests that it was not fitted on, in per cent of p50, p90 and p99.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
}

/// Whether a profile was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Fitted on runs of a real server.
    Measured,
    /// From coefficients that were published, not verified.
    Published,
}

impl Status {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Published => "published, not verified",
        }
    }
}

/// The limits of an engine, as far as they are known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EngineLimits {
    /// Blocks of the KV cache, as vLLM counts them: one of them is never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_gpu_blocks: Option<NonZeroU32>,
    /// Tokens of a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<NonZeroU32>,
    /// Sequences that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_num_seqs: Option<NonZeroU32>,
    /// Tokens of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_num_batched_tokens: Option<NonZeroU32>,
    /// Context window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_model_len: Option<NonZeroU32>,
    /// Whether a step is scheduled while the one before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub async_scheduling: Option<bool>,
    /// Ranks of a mixture of experts, which step together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_parallel_size: Option<NonZeroU32>,
}

/// The least and the most of what a profile was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Covered {
    /// Length of prompts.
    pub prompt_tokens: [u32; 2],
    /// Length of answers.
    pub output_tokens: [u32; 2],
    /// Sequences in a step.
    pub sequences: [u32; 2],
}

/// Errors in per cent, of p50, p90 and p99.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// Of the time to the first token.
    pub ttft: [f64; 3],
    /// Of the time for each further token.
    pub tpot: [f64; 3],
    /// Of the whole.
    pub e2e: [f64; 3],
}

impl Errors {
    /// The largest, without its sign.
    pub fn worst(&self) -> f64 {
        [self.ttft, self.tpot, self.e2e].concat().into_iter().fold(0.0, |worst, error| error.abs().max(worst))
    }

    /// To a tenth of a per cent.
    pub fn rounded(&self) -> Self {
        let round = |errors: [f64; 3]| errors.map(|error| (error * 10.0).round() / 10.0);
        Self { ttft: round(self.ttft), tpot: round(self.tpot), e2e: round(self.e2e) }
    }
}

impl Profile {
    /// Understands a file. Fails with which field is wrong, and how.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let deserializer = serde_yaml_ng::Deserializer::from_str(yaml);
        let profile: Self = serde_path_to_error::deserialize(deserializer).map_err(|error| match error.path() {
            path if path.iter().next().is_none() => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        })?;
        profile.check()?;
        Ok(profile)
    }

    /// As a file.
    pub fn to_yaml(&self) -> String {
        // Nothing in it cannot be written.
        serde_yaml_ng::to_string(self).unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        let time = &self.step_time;
        let parts = match &time.per_sequence_us {
            PerSequence::Line(us) => vec![Part { above: 0, us: *us }],
            PerSequence::Parts(parts) => parts.clone(),
        };
        if !parts.is_sorted_by(|one, next| one.above < next.above) {
            return Err("step-time.per-sequence-us: `above` must rise from part to part".into());
        }
        let parts = parts.iter().map(|part| ("step-time.per-sequence-us", part.us));
        let others = [
            ("step-time.base-ms", time.base_ms),
            ("step-time.per-context-token-ns", time.per_context_token_ns),
            ("step-time.mixed-ms", time.mixed_ms),
            ("step-time.mixed-per-context-token-ns", time.mixed_per_context_token_ns),
            ("step-time.per-prefill-token-us", time.per_prefill_token_us),
            ("step-time.per-prefill-pair-ns", time.per_prefill_pair_ns),
            ("step-time.spread", time.spread),
            ("overhead-ms", self.overhead_ms),
        ];
        if let Some((field, value)) = parts.chain(others).find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
            return Err(format!("{field}: {value} is no number from 0 on"));
        }
        let (block_size, ranks) = (self.engine.block_size, self.engine.data_parallel_size);
        if time.spread > 0.3 {
            Err(format!("step-time.spread: {} is more than 0.3", time.spread))
        } else if self.overhead_ms > 60_000.0 {
            Err(format!("overhead-ms: {} is more than a minute", self.overhead_ms))
        } else if block_size.is_some_and(|size| ![8, 16, 32, 64, 128].contains(&size.get())) {
            Err("engine.block-size: it is none of 8, 16, 32, 64 and 128".into())
        } else if ranks.is_some_and(|ranks| ranks.get() > 1023) {
            Err("engine.data-parallel-size: it is more than 1023".into())
        } else {
            Ok(())
        }
    }

    /// How an engine like this steps, if nothing else is said. Without a limit of its own, a step has 8,192 tokens, as vLLM's on a
    /// GPU of 80 GB.
    pub fn steps(&self) -> StepConfig {
        const USUAL_BATCHED_TOKENS: NonZeroU32 = NonZeroU32::new(8192).unwrap();
        StepConfig {
            time: self.step_time.to_step_time(),
            spread: self.step_time.spread,
            overhead: moment(self.overhead_ms * 1e-3),
            max_num_batched_tokens: self.engine.max_num_batched_tokens.unwrap_or(USUAL_BATCHED_TOKENS),
            long_prefill_token_threshold: 0,
            chunked_prefill: true,
            async_scheduling: self.engine.async_scheduling.unwrap_or(true),
            lockstep: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "status: measured\nmodel: m\ngpu: g\nsource: a test\nstep-time:\n  base-ms: 10\n  \
        per-sequence-us: [{above: 0, us: 5}, {above: 8, us: 2}]\n  per-context-token-ns: 80\n  per-prefill-token-us: 30\n";

    #[test]
    fn a_profile_is_read_and_written() {
        let profile = Profile::parse(YAML).unwrap();
        let time = profile.step_time.to_step_time();
        assert_eq!((time.base, &time.per_sequence[..]), (0.01, &[(0, 5.0 * 1e-6), (8, 2.0 * 1e-6)][..]));
        assert_eq!(Profile::parse(&profile.to_yaml()).unwrap(), profile);
        assert_eq!(Coefficients::of(&time), profile.step_time);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_field() {
        let wrong = |from: &str, to: &str| Profile::parse(&YAML.replace(from, to)).unwrap_err();
        assert!(wrong("base-ms: 10", "base-ms: fast").starts_with("step-time.base-ms: "));
        assert_eq!(wrong("base-ms: 10", "base-ms: -1"), "step-time.base-ms: -1 is no number from 0 on");
        assert!(wrong("base-ms", "bass-ms").contains("unknown field `bass-ms`"));
        assert!(wrong("above: 8", "above: 0").contains("must rise"));
    }
}
