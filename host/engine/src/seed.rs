//! Seeds for everything that looks random, each derived from what should decide it and nothing else.

use rand::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro256PlusPlus};

/// The generator that the engine draws from. Its sequence is fixed by its name, not by a library version.
pub type EngineRng = Xoshiro256PlusPlus;

/// What a seed is for, so that equal inputs still give unrelated streams. The numbers are for good: with others, a seed
/// would mean something else in the next release.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// The strategy's randomness.
    Answer = 0,
    /// Jitter of TTFT and inter-token latency.
    Latency = 1,
    /// Ids on the wire.
    Id = 2,
    /// Ids of tool calls.
    ToolCallId = 3,
    /// Failures on purpose.
    Failure = 4,
    /// Seeds of data-parallel ranks.
    Rank = 5,
    /// Log-probabilities.
    Logprobs = 6,
    /// Classes of texts.
    Classes = 7,
    /// Ids of traces and spans.
    Trace = 8,
    /// Jitter of steps.
    Steps = 9,
    /// When made-up requests arrive.
    Arrivals = 10,
}

/// Folds `parts` into one seed. Order matters; neighbouring inputs give unrelated seeds.
pub fn derive(purpose: Purpose, parts: &[u64]) -> u64 {
    let start = SplitMix64::seed_from_u64(purpose as u64).next_u64();
    parts.iter().fold(start, |seed, part| SplitMix64::seed_from_u64(seed ^ part).next_u64())
}

/// A generator for one purpose.
pub fn rng(purpose: Purpose, parts: &[u64]) -> EngineRng {
    EngineRng::seed_from_u64(derive(purpose, parts))
}

/// A number from 0 to 1, but not 1.
pub fn share(rng: &mut EngineRng) -> f64 {
    // As many bits as a float has.
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_parts_give_unrelated_seeds() {
        let seeds = [
            derive(Purpose::Answer, &[7, 0]),
            derive(Purpose::Answer, &[7, 1]),
            derive(Purpose::Answer, &[0, 7]),
            derive(Purpose::Latency, &[7, 0]),
        ];
        for (index, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..index].contains(seed), "{seeds:?}");
        }
        assert_eq!(seeds[0], derive(Purpose::Answer, &[7, 0]));
    }
}
