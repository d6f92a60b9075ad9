//! What an engine makes of requests: the same core on virtual time, in numbers.

use std::time::Duration;

use hdrhistogram::Histogram;
use rehearsal_engine::offline::{Arriving, Fate, Offline, OfflineObserver};
use rehearsal_engine::report::EndedStep;
use rehearsal_engine::{ConfiguredLatency, Counts, EngineConfig, EngineTime};

use crate::benchmark::{percentile, tpot};

/// p50, p90 and p99, and the mean, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// The middle one.
    pub p50: f64,
    /// Nine of ten are below.
    pub p90: f64,
    /// 99 of 100 are below.
    pub p99: f64,
    /// On average.
    pub mean: f64,
}

impl Spread {
    /// Of these values.
    pub fn of(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / (values.len().max(1)) as f64;
        let at = |per_cent| percentile(values, per_cent);
        Self { p50: at(50.0), p90: at(90.0), p99: at(99.0), mean }
    }
}

/// What became of all requests together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prediction {
    /// Requests that were answered.
    pub answered: usize,
    /// Requests that found no room in the waiting queue.
    pub refused: usize,
    /// Requests that are longer than the context window or the KV cache.
    pub too_long: usize,
    /// From the first arrival to the last token, in seconds.
    pub duration: f64,
    /// To the first token.
    pub ttft: Spread,
    /// For each further token of a request, on average.
    pub tpot: Spread,
    /// From each token to the next.
    pub itl: Spread,
    /// To the last token.
    pub e2e: Spread,
    /// In the waiting queue.
    pub queue: Spread,
    /// Tokens of prompts and of answers.
    pub tokens: (u64, u64),
    /// Prompt tokens that were found in the KV cache.
    pub cached_tokens: u64,
    /// Times that a request was preempted.
    pub preemptions: u64,
    /// Sequences that ran and waited, at most, in one engine.
    pub most: (usize, usize),
    /// Sequences that ran, on average over time, in one engine.
    pub mean_running: f64,
    /// Steps of all engines.
    pub steps: u64,
}

impl Prediction {
    /// Tokens of answers a second.
    pub fn output_rate(&self) -> f64 {
        self.tokens.1 as f64 / self.duration.max(f64::MIN_POSITIVE)
    }

    /// Requests a second.
    pub fn request_rate(&self) -> f64 {
        self.answered as f64 / self.duration.max(f64::MIN_POSITIVE)
    }

    /// Prompt tokens that were found in the KV cache, in per cent.
    pub fn hit_rate(&self) -> f64 {
        100.0 * self.cached_tokens as f64 / (self.tokens.0.max(1)) as f64
    }
}

/// Times of each request that was answered, in seconds: to the first token, for each further one, to the last.
pub type Times = [Option<f64>; 3];

/// What is kept on the way.
struct Watching<'a> {
    gaps: Histogram<u64>,
    most: (usize, usize),
    steps: u64,
    /// By engine: since when so many run.
    running: Vec<(EngineTime, usize)>,
    running_seconds: f64,
    ended: usize,
    progress: &'a mut dyn FnMut(usize),
}

impl OfflineObserver for Watching<'_> {
    fn observe(&mut self, engine: usize, at: EngineTime, counts: &Counts, steps: &[EndedStep]) {
        self.most = (self.most.0.max(counts.running), self.most.1.max(counts.waiting));
        let (since, running) = std::mem::replace(&mut self.running[engine], (at, counts.running));
        self.running_seconds += running as f64 * at.since(since).as_secs_f64();
        for step in steps {
            self.steps += 1;
            self.gaps.saturating_record_n(step.gap.as_micros() as u64, step.decoded.into());
        }
    }

    fn ended(&mut self, _: usize) {
        self.ended += 1;
        (self.progress)(self.ended);
    }

    fn resumed(&mut self, gap: Duration) {
        self.gaps.saturating_record(gap.as_micros() as u64);
    }
}

/// Lets `requests`, sorted by arrival, come to `n_replicas` servers of `n_ranks` ranks each that step together. `progress` is told
/// of how many requests ended. The times are those of the requests, in their order.
pub fn predict(
    config: &EngineConfig,
    requests: &[Arriving],
    n_replicas: usize,
    n_ranks: usize,
    progress: &mut dyn FnMut(usize),
) -> (Prediction, Vec<Times>) {
    let n_engines = n_replicas * n_ranks;
    // Of microseconds up to an hour, to a thousandth; more counts as that.
    let gaps = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap_or_else(|_| unreachable!("the bounds are sound"));
    let running = vec![(EngineTime::START, 0); n_engines];
    let mut watching = Watching { gaps, most: (0, 0), steps: 0, running, running_seconds: 0.0, ended: 0, progress };
    let offline = Offline::new(config, &ConfiguredLatency::default(), n_engines, n_ranks);
    let fates = offline.run(requests, &mut watching);
    let (mut times, mut queue) = (vec![[None; 3]; requests.len()], Vec::new());
    let mut prediction = Prediction::default();
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
    for ((fate, request), times) in fates.iter().zip(requests).zip(&mut times) {
        let history = match fate {
            Fate::Answered { history, .. } => history,
            Fate::Refused => {
                prediction.refused += 1;
                continue;
            }
            Fate::TooLong => {
                prediction.too_long += 1;
                continue;
            }
        };
        prediction.answered += 1;
        prediction.tokens.0 += u64::from(request.prompt_tokens);
        prediction.tokens.1 += u64::from(request.output_tokens);
        prediction.cached_tokens += u64::from(history.cached_tokens);
        prediction.preemptions += u64::from(history.preemptions);
        let last = history.last_token.map_or(0.0, |last| last.since_start().as_secs_f64());
        prediction.duration = prediction.duration.max(last);
        let (ttft, e2e) = (seconds(history.time_to_first_token()), seconds(history.e2e_latency()));
        let tpot = tpot(ttft, e2e, request.output_tokens);
        *times = [Some(ttft), Some(tpot).filter(|_| request.output_tokens > 1), Some(e2e)];
        queue.push(seconds(history.queue_time()));
    }
    let gap = |per_cent| watching.gaps.value_at_quantile(per_cent / 100.0) as f64 * 1e-6;
    let itl = Spread { p50: gap(50.0), p90: gap(90.0), p99: gap(99.0), mean: watching.gaps.mean() * 1e-6 };
    let spread = |which: usize| Spread::of(&times.iter().filter_map(|times| times[which]).collect::<Vec<_>>());
    let prediction = Prediction {
        ttft: spread(0),
        tpot: spread(1),
        itl: if watching.gaps.is_empty() { Spread::default() } else { itl },
        e2e: spread(2),
        queue: Spread::of(&queue),
        most: watching.most,
        mean_running: watching.running_seconds / prediction.duration.max(f64::MIN_POSITIVE) / n_engines as f64,
        steps: watching.steps,
        ..prediction
    };
    (prediction, times)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::profile::builtin;
    use crate::trace::{Arrivals, arrivals, made_up};

    fn config(max_num_seqs: u32) -> EngineConfig {
        let profile = builtin("llama-3.1-8b-h100").unwrap();
        EngineConfig {
            max_model_len: 8192,
            max_num_seqs: NonZeroU32::new(max_num_seqs).unwrap(),
            max_waiting_queue_length: 1000,
            priorities_count: false,
            max_loras: NonZeroU32::MIN,
            max_cpu_loras: NonZeroU32::MIN,
            kv_cache: None,
            steps: Some(profile.steps()),
            seed: 0,
        }
    }

    #[test]
    fn a_lone_request_takes_its_steps_and_more_of_them_wait_for_places() {
        let lone = predict(&config(8), &made_up(&[0.0], 100, 11), 1, 1, &mut |_| {}).0;
        assert_eq!((lone.answered, lone.steps, lone.tokens, lone.most), (1, 11, (100, 11), (1, 1)));
        // The published step of H100: 6.37 ms, and 8 ms of the API server before the first.
        assert!((0.0063..0.0066).contains(&lone.itl.p50) && (0.0150..0.0175).contains(&lone.ttft.p50), "{lone:?}");
        let moments = arrivals(f64::INFINITY, 16, Arrivals::Constant, 0);
        let crowd = predict(&config(8), &made_up(&moments, 100, 11), 1, 1, &mut |_| {}).0;
        assert_eq!((crowd.answered, crowd.most.0), (16, 8));
        assert!(crowd.queue.p99 > 10.0 * 0.006 && crowd.queue.p50 < crowd.queue.p90, "{crowd:?}");
        let two = predict(&config(8), &made_up(&moments, 100, 11), 2, 1, &mut |_| {}).0;
        assert!(two.queue.p99 < 0.01 && two.duration < crowd.duration, "{two:?}");
    }

    #[test]
    fn what_is_too_long_or_finds_no_room_is_counted() {
        let config = EngineConfig { max_waiting_queue_length: 2, ..config(1) };
        let mut requests = made_up(&[0.0; 6], 100, 5);
        requests[0].prompt_tokens = 9000;
        let prediction = predict(&config, &requests, 1, 1, &mut |_| {}).0;
        assert_eq!((prediction.too_long, prediction.refused + prediction.answered), (1, 5));
        assert!(prediction.refused >= 2, "{prediction:?}");
    }
}
