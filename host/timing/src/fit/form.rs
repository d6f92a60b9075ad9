//! What a step's time is made of: features of a step, each with its coefficient.

use rehearsal_engine::{StepCounts, StepTime};

/// How many coefficients there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Six: a line for what decodes, another for what is mixed in.
    Mix,
    /// Sequences in parts of a line, and the pairs that the attention of prompts looks at: for runs of many rates.
    Pieces,
}

/// Where the parts of the line begin. The last has no end.
const PARTS: [u32; 6] = [1, 8, 32, 64, 128, 256];

/// Units in which coefficients are near 1, in seconds: base, prompt token, sequence, context token, mixed, mixed context, pair.
pub(super) const SCALES: [f64; 7] = [1e-2, 5e-5, 5e-5, 1e-7, 5e-3, 1e-7, 2e-9];

/// What is usual, in these units, of a server whose tokens take 33 ms.
const USUAL: [f64; 7] = [1.0, 1.0, 0.5, 1.0, 0.6, 0.6, 0.0];

/// What is usual of a request beside its steps.
pub(super) const USUAL_OVERHEAD_MS: f64 = 2.0;

impl Form {
    /// Coefficients from which a search begins, of a server this many times as slow as the usual one; the overhead is the last.
    pub(super) fn usual(self, speed: f64) -> Vec<f64> {
        let [base, prefill, sequence, context, mixed, mixed_context, pair] = USUAL.map(|usual| usual * speed);
        let mut usual = vec![base, prefill, context, mixed, mixed_context];
        match self {
            Self::Mix => usual.push(sequence),
            Self::Pieces => {
                usual.push(pair);
                usual.extend(std::iter::repeat_n(sequence, PARTS.len()));
            }
        }
        usual.push(USUAL_OVERHEAD_MS);
        usual
    }

    /// What each coefficient is multiplied with in a step, in seconds.
    pub(super) fn features(self, counts: &StepCounts) -> Vec<f64> {
        let is_mixed = f64::from(u8::from(counts.prefill_tokens > 0));
        let (context, n) = (counts.context as f64, counts.sequences);
        let [base, prefill, sequence, per_context, mixed, mixed_context, pair] = SCALES;
        let mut features = vec![
            base,
            prefill * f64::from(counts.prefill_tokens),
            per_context * context,
            mixed * is_mixed,
            mixed_context * is_mixed * context,
        ];
        match self {
            Self::Mix => features.push(sequence * f64::from(n)),
            Self::Pieces => {
                features.push(pair * counts.prefill_pairs);
                let ends = PARTS[1..].iter().chain([&u32::MAX]);
                let parts = PARTS.iter().zip(ends).map(|(above, end)| f64::from(n.min(*end).saturating_sub(*above)));
                features.extend(parts.map(|n| sequence * n));
            }
        }
        features
    }

    /// The time of a step with these coefficients, without the overhead.
    pub(super) fn time(self, z: &[f64]) -> StepTime {
        let [base, prefill, sequence, context, mixed, mixed_context, pair] = SCALES;
        let time = StepTime {
            base: z[0] * base,
            per_prefill_token: z[1] * prefill,
            per_context_token: z[2] * context,
            mixed: z[3] * mixed,
            mixed_per_context_token: z[4] * mixed_context,
            ..StepTime::default()
        };
        match self {
            Self::Mix => StepTime { per_sequence: vec![(0, z[5] * sequence)], ..time },
            Self::Pieces => StepTime {
                per_prefill_pair: z[5] * pair,
                per_sequence: PARTS.into_iter().zip(&z[6..]).map(|(above, z)| (above, z * sequence)).collect(),
                ..time
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_takes_the_sum_of_its_features() {
        let counts = StepCounts { prefill_tokens: 300, prefill_pairs: 45_000.0, sequences: 700, context: 9000 };
        let decodes = StepCounts { prefill_tokens: 0, prefill_pairs: 0.0, ..counts };
        for form in [Form::Mix, Form::Pieces] {
            let z: Vec<_> = (1..form.usual(1.0).len()).map(|at| at as f64 / 3.0).collect();
            for counts in [counts, decodes] {
                let sum: f64 = form.features(&counts).iter().zip(&z).map(|(feature, z)| feature * z).sum();
                let seconds = form.time(&z).seconds(&counts);
                assert!((sum - seconds).abs() < 1e-12, "{form:?}: {sum} {seconds}");
            }
        }
    }
}
