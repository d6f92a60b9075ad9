//! How long one step of the whole batch takes.
//!
//! A step costs what it costs to run the model at all, and more for each sequence, for the context that their attention
//! reads, and for the prompt tokens in it. A step that has any is a regime of its own: it runs without CUDA graphs, and
//! its attention is another kernel's. The form reproduces real runs of vLLM to a few per cent; `rehearsal fit` finds the
//! coefficients from a benchmark.

use std::time::Duration;

use rand_distr::{Distribution, Normal};

use super::seconds;
use crate::seed::EngineRng;

/// What one step computes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepCounts {
    /// Tokens of prompts, chunks of them included.
    pub prefill_tokens: u32,
    /// For each chunk of `t` prompt tokens behind a context of `c`: t · (c + t/2), the pairs that attention looks at.
    pub prefill_pairs: f64,
    /// Sequences that generate a token each.
    pub sequences: u32,
    /// The tokens that these have, all together.
    pub context: u64,
}

impl std::ops::AddAssign for StepCounts {
    fn add_assign(&mut self, other: Self) {
        self.prefill_tokens += other.prefill_tokens;
        self.prefill_pairs += other.prefill_pairs;
        self.sequences += other.sequences;
        self.context += other.context;
    }
}

/// Coefficients, all in seconds and none below 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepTime {
    /// For any step.
    pub base: f64,
    /// For each sequence above a number of them, up to the number of the next: `(above, seconds)`, by that number. One entry
    /// from 0 is a straight line.
    pub per_sequence: Vec<(u32, f64)>,
    /// For each token of their context.
    pub per_context_token: f64,
    /// For a step that has prompt tokens.
    pub mixed: f64,
    /// In such a step, for each token of the context.
    pub mixed_per_context_token: f64,
    /// For each prompt token.
    pub per_prefill_token: f64,
    /// For each of the pairs that their attention looks at.
    pub per_prefill_pair: f64,
}

impl StepTime {
    /// Of a step that computes so much, in seconds.
    pub fn seconds(&self, counts: &StepCounts) -> f64 {
        let context = counts.context as f64;
        let decode = self.base + self.of_sequences(counts.sequences) + self.per_context_token * context;
        if counts.prefill_tokens == 0 {
            return decode;
        }
        let prefill = self.per_prefill_token * f64::from(counts.prefill_tokens);
        decode
            + self.mixed
            + self.mixed_per_context_token * context
            + prefill
            + self.per_prefill_pair * counts.prefill_pairs
    }

    fn of_sequences(&self, n: u32) -> f64 {
        let ends = self.per_sequence.iter().skip(1).map(|(above, _)| *above).chain([u32::MAX]);
        let parts = self.per_sequence.iter().zip(ends);
        parts.map(|((above, slope), end)| slope * f64::from(n.min(end).saturating_sub(*above))).sum()
    }

    /// The same as a duration that varies: Gaussian with a standard deviation of `spread` times the mean, but never more than
    /// 70 % away from it. Takes nothing from `rng` if there is no spread.
    pub(crate) fn sample(&self, counts: &StepCounts, spread: f64, rng: &mut EngineRng) -> Duration {
        let mean = self.seconds(counts);
        match Normal::new(1.0, spread) {
            Ok(normal) if spread > 0.0 => seconds(mean * normal.sample(rng).clamp(0.3, 1.7)),
            _ => seconds(mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECODES: StepCounts = StepCounts { prefill_tokens: 0, prefill_pairs: 0.0, sequences: 20, context: 1000 };

    fn line() -> StepTime {
        StepTime {
            base: 10e-3,
            per_sequence: vec![(0, 1e-4)],
            per_context_token: 1e-6,
            mixed: 5e-3,
            mixed_per_context_token: 2e-6,
            per_prefill_token: 1e-5,
            per_prefill_pair: 1e-9,
        }
    }

    #[test]
    fn a_step_with_prompt_tokens_is_a_regime_of_its_own() {
        let close = |one: f64, other: f64| assert!((one - other).abs() < 1e-12, "{one} {other}");
        close(line().seconds(&DECODES), 10e-3 + 2e-3 + 1e-3);
        let mixed = StepCounts { prefill_tokens: 100, prefill_pairs: 5000.0, ..DECODES };
        close(line().seconds(&mixed), 13e-3 + 5e-3 + 2e-3 + 1e-3 + 5e-6);
    }

    #[test]
    fn each_sequence_costs_what_its_part_of_the_line_says() {
        let time = StepTime { per_sequence: vec![(1, 1.0), (8, 0.5), (32, 0.25)], ..StepTime::default() };
        let of = |n| time.of_sequences(n);
        assert_eq!([of(0), of(1), of(8), of(10), of(40)], [0.0, 0.0, 7.0, 8.0, 7.0 + 12.0 + 2.0]);
    }
}
