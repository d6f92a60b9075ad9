//! How long prefill and each token take. Pure: counts in, durations out; pacing and the clock are elsewhere.

use std::time::Duration;

use rand_distr::{Distribution, Normal};

use crate::seed::EngineRng;

/// What is known when a sequence starts its prefill.
#[derive(Debug, Clone, Copy)]
pub struct PrefillCounts {
    /// Length of the prompt.
    pub prompt_tokens: u32,
    /// The KV cache comes from another server instead of being computed.
    pub remote_prefill: bool,
}

/// Says how long things take in the simulated engine.
pub trait LatencyModel: Send + Sync {
    /// From admission to the first token.
    fn first_token(&self, prefill: PrefillCounts, rng: &mut EngineRng) -> Duration;
    /// From one token to the next.
    fn next_token(&self, rng: &mut EngineRng) -> Duration;
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
        let mean = self.mean.as_secs_f64();
        let Ok(normal) = Normal::new(mean, self.std_dev.as_secs_f64()) else { return self.mean };
        if self.std_dev.is_zero() {
            return self.mean;
        }
        Duration::from_secs_f64(normal.sample(rng).clamp(0.3 * mean, 1.7 * mean))
    }
}

/// Every prefill and every token takes the same, but for jitter.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConstantLatency {
    /// `time-to-first-token`
    pub time_to_first_token: Jittered,
    /// `inter-token-latency`
    pub inter_token_latency: Jittered,
    /// `kv-cache-transfer-latency`: takes the place of TTFT when the prefill happened elsewhere.
    pub kv_cache_transfer_latency: Jittered,
}

impl LatencyModel for ConstantLatency {
    fn first_token(&self, prefill: PrefillCounts, rng: &mut EngineRng) -> Duration {
        if prefill.remote_prefill {
            self.kv_cache_transfer_latency.sample(rng)
        } else {
            self.time_to_first_token.sample(rng)
        }
    }

    fn next_token(&self, rng: &mut EngineRng) -> Duration {
        self.inter_token_latency.sample(rng)
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
}
