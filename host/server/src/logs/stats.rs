//! A line about throughput and queues now and then, in vLLM's words, which dashboards and people search for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rehearsal_engine::{Choice, EngineEvent, EngineObserver, EngineStatus};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{debug, info};

/// What an engine computed since its start.
#[derive(Debug, Default)]
pub struct Throughput {
    /// Tokens of prompts that were not cached.
    prompt_tokens: AtomicU64,
    generation_tokens: AtomicU64,
    /// Tokens of prompts, cached or not.
    queried_tokens: AtomicU64,
}

impl EngineObserver for Throughput {
    fn observe(&self, choice: &Choice, event: EngineEvent<'_>, _at: Instant) {
        match event {
            EngineEvent::Scheduled { cached_tokens } => {
                let n_tokens = choice.prompt().n_tokens;
                self.queried_tokens.fetch_add(n_tokens.into(), Ordering::Relaxed);
                self.prompt_tokens.fetch_add(n_tokens.saturating_sub(cached_tokens).into(), Ordering::Relaxed);
            }
            EngineEvent::Tokens(n) => drop(self.generation_tokens.fetch_add(n as u64, Ordering::Relaxed)),
            _ => {}
        }
    }
}

/// Logs one line each `period`, for as long as it is polled. Twice in a row without any token, it is a debug line.
pub async fn log(
    rank: u32,
    period: Duration,
    throughput: Arc<Throughput>,
    reuses_prefixes: bool,
    status: impl Fn() -> EngineStatus,
) {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut prompt_before, mut generation_before, mut was_idle) = (0, 0, false);
    let mut before = Instant::now();
    loop {
        ticks.tick().await;
        let prompt = throughput.prompt_tokens.load(Ordering::Relaxed);
        let generation = throughput.generation_tokens.load(Ordering::Relaxed);
        let queried = throughput.queried_tokens.load(Ordering::Relaxed);
        let seconds = std::mem::replace(&mut before, Instant::now()).elapsed().as_secs_f64();
        let line = Line {
            rank,
            prompt: (prompt - prompt_before) as f64 / seconds,
            generation: (generation - generation_before) as f64 / seconds,
            hit_rate: (reuses_prefixes && queried > 0).then(|| 1.0 - prompt as f64 / queried as f64),
            status: status(),
        };
        let is_idle = (prompt, generation) == (prompt_before, generation_before);
        if is_idle && was_idle {
            debug!("{line}");
        } else {
            info!("{line}");
        }
        (prompt_before, generation_before, was_idle) = (prompt, generation, is_idle);
    }
}

struct Line {
    rank: u32,
    /// Tokens a second.
    prompt: f64,
    /// Tokens a second.
    generation: f64,
    hit_rate: Option<f64>,
    status: EngineStatus,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rank, prompt, generation, hit_rate, status } = self;
        let EngineStatus { running, waiting, .. } = status;
        let usage =
            status.kv_cache_blocks.filter(|(_, all)| *all > 0).map_or(0.0, |(held, all)| held as f64 / all as f64);
        write!(
            f,
            "Engine {rank:03}: Avg prompt throughput: {prompt:.1} tokens/s, Avg generation throughput: {generation:.1} \
             tokens/s, Running: {running} reqs, Waiting: {waiting} reqs, GPU KV cache usage: {:.1}%",
            100.0 * usage
        )?;
        match hit_rate {
            Some(rate) => write!(f, ", Prefix cache hit rate: {:.1}%", 100.0 * rate),
            None => Ok(()),
        }
    }
}
