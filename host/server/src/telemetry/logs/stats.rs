//! A line about throughput and queues now and then, in vLLM's words, which dashboards and people search for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rehearsal_engine::{Clock, Counts, EngineObserver, SequenceEvent, StepReport};
use tracing::{debug, info};

use crate::process::real_time::{Instant, MissedTickBehavior, interval_at};

/// What an engine computed since its start, and how busy it is.
#[derive(Debug, Default)]
pub struct Throughput(Mutex<Computed>);

#[derive(Debug, Clone, Copy, Default)]
struct Computed {
    /// Tokens of prompts that were not cached.
    prompt_tokens: u64,
    generation_tokens: u64,
    /// Tokens of prompts, cached or not.
    queried_tokens: u64,
    counts: Counts,
}

impl Throughput {
    fn lock(&self) -> MutexGuard<'_, Computed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineObserver for Throughput {
    fn observe(&self, report: &StepReport) {
        let mut computed = self.lock();
        computed.counts = report.counts;
        computed.generation_tokens += report.steps.iter().map(|step| u64::from(step.decoded)).sum::<u64>();
        for sequence in &report.sequences {
            match sequence.event {
                SequenceEvent::Scheduled => {
                    let n_tokens = sequence.choice.prompt().n_tokens;
                    computed.queried_tokens += u64::from(n_tokens);
                    computed.prompt_tokens += u64::from(n_tokens.saturating_sub(sequence.history.cached_tokens));
                }
                SequenceEvent::Tokens { n, .. } => computed.generation_tokens += n as u64,
                _ => {}
            }
        }
    }
}

/// Logs one line each `period` of real time, for as long as it is polled. Rates are per second of engine time. Twice in a
/// row without any token, it is a debug line.
pub async fn log(rank: u32, period: Duration, throughput: Arc<Throughput>, reuses_prefixes: bool, clock: Clock) {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut was_idle) = (Computed::default(), false);
    let mut told_at = clock.now();
    loop {
        ticks.tick().await;
        let now = *throughput.lock();
        let seconds = clock.now().since(std::mem::replace(&mut told_at, clock.now())).as_secs_f64();
        // No time has passed where the clock stands still.
        let rate = |tokens: u64| if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
        let queried = now.queried_tokens;
        let line = Line {
            rank,
            prompt: rate(now.prompt_tokens - before.prompt_tokens),
            generation: rate(now.generation_tokens - before.generation_tokens),
            hit_rate: (reuses_prefixes && queried > 0).then(|| 1.0 - now.prompt_tokens as f64 / queried as f64),
            counts: now.counts,
        };
        let is_idle = (now.prompt_tokens, now.generation_tokens) == (before.prompt_tokens, before.generation_tokens);
        if is_idle && was_idle {
            debug!("{line}");
        } else {
            info!("{line}");
        }
        (before, was_idle) = (now, is_idle);
    }
}

struct Line {
    rank: u32,
    /// Tokens a second.
    prompt: f64,
    /// Tokens a second.
    generation: f64,
    hit_rate: Option<f64>,
    counts: Counts,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rank, prompt, generation, hit_rate, counts } = self;
        let Counts { running, waiting, .. } = counts;
        write!(
            f,
            "Engine {rank:03}: Avg prompt throughput: {prompt:.1} tokens/s, Avg generation throughput: {generation:.1} \
             tokens/s, Running: {running} reqs, Waiting: {waiting} reqs, GPU KV cache usage: {:.1}%",
            100.0 * counts.kv_cache_usage()
        )?;
        match hit_rate {
            Some(rate) => write!(f, ", Prefix cache hit rate: {:.1}%", 100.0 * rate),
            None => Ok(()),
        }
    }
}
