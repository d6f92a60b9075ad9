//! How long prefill and each token take. Pure: counts in, durations out; pacing and the clock are elsewhere.

mod lockstep;
mod step_time;

use std::time::Duration;

use rand_distr::{Distribution, Normal};

use crate::seed::EngineRng;
pub use lockstep::Lockstep;
pub use step_time::{StepCounts, StepTime};

/// What is known when a sequence starts its prefill.
#[derive(Debug, Clone, Copy)]
pub struct PrefillCounts {
    /// Length of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of it whose KV cache is there: they cost nothing.
    pub cached_tokens: u32,
    /// The KV cache comes from another server instead of being computed.
    pub remote_prefill: bool,
}

/// How busy the engine is at the moment that a duration is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Sequences that run, the asking one among them.
    pub running: usize,
    /// Sequences that may run.
    pub max_num_seqs: usize,
}

/// Says how long things take in the simulated engine. Asked when a duration begins, so that it follows the load.
pub trait LatencyModel: Send + Sync {
    /// From admission to the first token.
    fn first_token(&self, prefill: PrefillCounts, load: Load, rng: &mut EngineRng) -> Duration;
    /// From one token to the next.
    fn next_token(&self, load: Load, rng: &mut EngineRng) -> Duration;
}

/// A duration that varies: Gaussian, but never more than 70 % away from its mean (the seeds' rule).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Jittered {
    /// The mean.
    pub mean: Duration,
    /// Standard deviation; zero: always the mean.
    pub std_dev: Duration,
}

impl Jittered {
    /// One draw. Takes nothing from `rng` if there is no deviation.
    pub fn sample(&self, rng: &mut EngineRng) -> Duration {
        self.slowed(1.0).draw(rng)
    }

    fn slowed(&self, factor: f64) -> Self {
        let mean = if factor == 1.0 { self.mean } else { seconds(self.mean.as_secs_f64() * factor) };
        Self { mean, std_dev: self.std_dev }
    }

    fn draw(&self, rng: &mut EngineRng) -> Duration {
        let mean = self.mean.as_secs_f64();
        let Ok(normal) = Normal::new(mean, self.std_dev.as_secs_f64()) else { return self.mean };
        if self.std_dev.is_zero() {
            return self.mean;
        }
        seconds(normal.sample(rng).clamp(0.3 * mean, 1.7 * mean))
    }
}

/// So many seconds; the longest duration there is, if that is too many.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// How long it takes to compute, or to fetch, the KV cache of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptLatency {
    /// Always the same, but for jitter.
    Constant(Jittered),
    /// So much, and so much more for each token.
    PerToken {
        /// For any prompt.
        overhead: Duration,
        /// For each token that is not cached.
        per_token: Duration,
        /// Standard deviation of the sum.
        std_dev: Duration,
    },
}

impl Default for PromptLatency {
    fn default() -> Self {
        Self::Constant(Jittered::default())
    }
}

impl PromptLatency {
    fn sample(&self, tokens: u32, factor: f64, rng: &mut EngineRng) -> Duration {
        let latency = match *self {
            Self::Constant(latency) => latency,
            Self::PerToken { overhead, per_token, std_dev } => {
                Jittered { mean: overhead.saturating_add(per_token.saturating_mul(tokens)), std_dev }
            }
        };
        latency.slowed(factor).draw(rng)
    }
}

/// What the latency keys say; the formulas are llm-d's simulator's, without its truncation to milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct ConfiguredLatency {
    /// `time-to-first-token`, or `prefill-overhead` and `prefill-time-per-token`.
    pub prefill: PromptLatency,
    /// `kv-cache-transfer-latency`, or `kv-cache-transfer-time-per-token`: in the place of prefill when that happened
    /// elsewhere. The load does not slow it.
    pub transfer: PromptLatency,
    /// `inter-token-latency`
    pub inter_token_latency: Jittered,
    /// How many times as long prefill and tokens take when all places are taken; at least 1. In between it rises evenly,
    /// from 1 for a sequence that is alone.
    pub time_factor_under_load: f64,
}

impl Default for ConfiguredLatency {
    /// Nothing takes any time.
    fn default() -> Self {
        Self {
            prefill: PromptLatency::default(),
            transfer: PromptLatency::default(),
            inter_token_latency: Jittered::default(),
            time_factor_under_load: 1.0,
        }
    }
}

impl ConfiguredLatency {
    fn factor(&self, load: Load) -> f64 {
        let others = load.running.saturating_sub(1) as f64;
        let other_places = load.max_num_seqs.saturating_sub(1).max(1) as f64;
        1.0 + (self.time_factor_under_load - 1.0) * (others / other_places).min(1.0)
    }
}

impl LatencyModel for ConfiguredLatency {
    fn first_token(&self, prefill: PrefillCounts, load: Load, rng: &mut EngineRng) -> Duration {
        if prefill.remote_prefill {
            self.transfer.sample(prefill.prompt_tokens, 1.0, rng)
        } else {
            let tokens = prefill.prompt_tokens.saturating_sub(prefill.cached_tokens);
            self.prefill.sample(tokens, self.factor(load), rng)
        }
    }

    fn next_token(&self, load: Load, rng: &mut EngineRng) -> Duration {
        self.inter_token_latency.slowed(self.factor(load)).draw(rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{self, Purpose};

    #[test]
    fn samples_spread_around_the_mean_and_stay_within_seventy_percent() {
        let jittered = Jittered { mean: Duration::from_micros(500), std_dev: Duration::from_micros(150) };
        let mut rng = seed::rng(Purpose::Latency, &[1]);
        let samples: Vec<f64> = (0..20_000).map(|_| jittered.sample(&mut rng).as_secs_f64() * 1e6).collect();
        assert!(samples.iter().all(|us| (149.9..=850.1).contains(us)));
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        assert!((mean - 500.0).abs() < 5.0, "mean {mean} µs");
        let variance = samples.iter().map(|us| (us - mean).powi(2)).sum::<f64>() / samples.len() as f64;
        assert!((variance.sqrt() - 148.0).abs() < 6.0, "deviation {} µs", variance.sqrt());
    }

    #[test]
    fn no_deviation_means_exactly_the_mean() {
        let jittered = Jittered { mean: Duration::from_nanos(1_234_567), std_dev: Duration::ZERO };
        assert_eq!(jittered.sample(&mut seed::rng(Purpose::Latency, &[1])), Duration::from_nanos(1_234_567));
    }

    const ALONE: Load = Load { running: 1, max_num_seqs: 5 };

    fn prompt(prompt_tokens: u32, cached_tokens: u32) -> PrefillCounts {
        PrefillCounts { prompt_tokens, cached_tokens, remote_prefill: false }
    }

    #[test]
    fn cached_tokens_cost_no_prefill_and_every_token_of_a_transfer_does() {
        let ms = Duration::from_millis;
        let per_token = |overhead: u64, per_token: u64| PromptLatency::PerToken {
            overhead: ms(overhead),
            per_token: ms(per_token),
            std_dev: Duration::ZERO,
        };
        let latency = ConfiguredLatency {
            prefill: per_token(30, 2),
            transfer: per_token(0, 1),
            time_factor_under_load: 3.0,
            ..Default::default()
        };
        let mut rng = seed::rng(Purpose::Latency, &[1]);
        assert_eq!(latency.first_token(prompt(100, 64), ALONE, &mut rng), ms(30 + 72));
        let full = Load { running: 5, ..ALONE };
        assert_eq!(latency.first_token(prompt(100, 64), full, &mut rng), ms(3 * 102));
        let remote = PrefillCounts { remote_prefill: true, ..prompt(100, 64) };
        assert_eq!(latency.first_token(remote, full, &mut rng), ms(100));
    }

    #[test]
    fn what_is_longer_than_any_duration_is_the_longest() {
        let year = Duration::from_secs(366 * 24 * 3600);
        let prefill = PromptLatency::PerToken { overhead: year, per_token: year, std_dev: year };
        let latency = ConfiguredLatency { prefill, time_factor_under_load: 1e300, ..Default::default() };
        let full = Load { running: 5, ..ALONE };
        let mut rng = seed::rng(Purpose::Latency, &[1]);
        assert_eq!(latency.first_token(prompt(u32::MAX, 0), full, &mut rng), Duration::MAX);
    }

    #[test]
    fn the_factor_rises_evenly_with_the_places_that_are_taken() {
        let latency = ConfiguredLatency { time_factor_under_load: 3.0, ..Default::default() };
        let factor = |running, max_num_seqs| latency.factor(Load { running, max_num_seqs });
        assert_eq!([factor(1, 5), factor(3, 5), factor(5, 5)], [1.0, 2.0, 3.0]);
        assert_eq!([factor(0, 5), factor(1, 1), factor(9, 5)], [1.0, 1.0, 3.0]);
    }
}
