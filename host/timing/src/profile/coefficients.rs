//! What a step's time is made of, in units that read well in a file.

use rehearsal_engine::StepTime;
use serde::{Deserialize, Serialize};

/// Coefficients of a step's time, each in the unit of its name, at least 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Coefficients {
    /// Any step.
    pub base_ms: f64,
    /// Each sequence that decodes, or parts of a line: each sequence above so many.
    pub per_sequence_us: PerSequence,
    /// Each token of their context.
    pub per_context_token_ns: f64,
    /// A step that has prompt tokens.
    #[serde(default)]
    pub mixed_ms: f64,
    /// In such a step, each token of the context.
    #[serde(default)]
    pub mixed_per_context_token_ns: f64,
    /// Each prompt token.
    pub per_prefill_token_us: f64,
    /// Each pair that the attention of prompt tokens looks at: of a chunk of `t` behind `c`, t · (c + t/2).
    #[serde(default)]
    pub per_prefill_pair_ns: f64,
    /// Standard deviation of a step's time, as a share of it.
    #[serde(default)]
    pub spread: f64,
}

/// What sequences cost: a line, or parts of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerSequence {
    /// Each the same.
    Line(f64),
    /// By number.
    Parts(Vec<Part>),
}

impl Default for PerSequence {
    fn default() -> Self {
        Self::Line(0.0)
    }
}

/// Each sequence above `above`, up to the next part's, costs `us` microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Sequences.
    pub above: u32,
    /// Microseconds.
    pub us: f64,
}

impl Coefficients {
    /// In seconds.
    pub fn to_step_time(&self) -> StepTime {
        let per_sequence = match &self.per_sequence_us {
            PerSequence::Line(us) => vec![(0, us * 1e-6)],
            PerSequence::Parts(parts) => parts.iter().map(|part| (part.above, part.us * 1e-6)).collect(),
        };
        StepTime {
            base: self.base_ms * 1e-3,
            per_sequence,
            per_context_token: self.per_context_token_ns * 1e-9,
            mixed: self.mixed_ms * 1e-3,
            mixed_per_context_token: self.mixed_per_context_token_ns * 1e-9,
            per_prefill_token: self.per_prefill_token_us * 1e-6,
            per_prefill_pair: self.per_prefill_pair_ns * 1e-9,
        }
    }

    /// From seconds, with four figures.
    pub fn of(time: &StepTime) -> Self {
        let per_sequence_us = match &time.per_sequence[..] {
            [] => PerSequence::Line(0.0),
            [(0, seconds)] => PerSequence::Line(figures(seconds * 1e6)),
            parts => PerSequence::Parts(
                parts.iter().map(|(above, seconds)| Part { above: *above, us: figures(seconds * 1e6) }).collect(),
            ),
        };
        Self {
            base_ms: figures(time.base * 1e3),
            per_sequence_us,
            per_context_token_ns: figures(time.per_context_token * 1e9),
            mixed_ms: figures(time.mixed * 1e3),
            mixed_per_context_token_ns: figures(time.mixed_per_context_token * 1e9),
            per_prefill_token_us: figures(time.per_prefill_token * 1e6),
            per_prefill_pair_ns: figures(time.per_prefill_pair * 1e9),
            spread: 0.0,
        }
    }
}

/// Four significant figures: more would be noise.
fn figures(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
