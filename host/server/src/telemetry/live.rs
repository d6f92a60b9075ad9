//! What the page at `GET /rehearsal` shows and no metric tells: how long tokens are waited for just now, and the requests
//! that ended last. Nothing is kept while no page is open.

mod ended;
mod rows;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use rehearsal_engine::{EngineObserver, SequenceEvent, StepReport};
use serde::Serialize;

use ended::Ended;
pub use rows::rows;

/// Of requests that ended since a page looked, so many are kept for it.
const N_ENDED: usize = 20;

/// Told of every step; keeps what happened for the pages that are open.
pub struct Live {
    watched: Mutex<Vec<Arc<Mutex<Watched>>>>,
    /// So that a step need not take the lock while no page is open.
    n_watched: AtomicUsize,
}

/// What happened since a page looked.
struct Watched {
    first_token: Delays,
    between_tokens: Delays,
    ended: VecDeque<Ended>,
}

/// One open page, until it is dropped.
pub struct Watcher {
    live: Arc<Live>,
    watched: Arc<Mutex<Watched>>,
}

/// What happened since the last look. Times in seconds.
#[derive(Debug, Serialize)]
pub struct Glance {
    ttft: Option<Quantiles>,
    inter_token: Option<Quantiles>,
    /// The latest last.
    ended: VecDeque<Ended>,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p95: f64,
}

impl Live {
    /// No page is open.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { watched: Mutex::default(), n_watched: AtomicUsize::new(0) })
    }

    /// Begins to keep what happens, for one more page.
    pub fn watch(self: &Arc<Self>) -> Watcher {
        let watched = Arc::new(Mutex::new(Watched::new()));
        let mut all = lock(&self.watched);
        all.push(watched.clone());
        self.n_watched.store(all.len(), Ordering::Relaxed);
        Watcher { live: self.clone(), watched }
    }
}

impl EngineObserver for Live {
    fn observe(&self, report: &StepReport) {
        if self.n_watched.load(Ordering::Relaxed) == 0 {
            return;
        }
        for watched in &*lock(&self.watched) {
            lock(watched).observe(report);
        }
    }
}

impl Watched {
    fn new() -> Self {
        Self { first_token: Delays::new(), between_tokens: Delays::new(), ended: VecDeque::with_capacity(N_ENDED) }
    }

    fn observe(&mut self, report: &StepReport) {
        report.steps.iter().for_each(|step| self.between_tokens.add_all(step.gap, step.decoded.into()));
        for sequence in &report.sequences {
            match sequence.event {
                SequenceEvent::Tokens { gap: Some(gap), .. } => self.between_tokens.add(gap),
                SequenceEvent::Tokens { gap: None, .. } => {
                    self.first_token.add(report.at.since(sequence.history.arrived));
                }
                _ => {
                    let Some(ended) = Ended::of(sequence, report) else { continue };
                    if self.ended.len() == N_ENDED {
                        self.ended.pop_front();
                    }
                    self.ended.push_back(ended);
                }
            }
        }
    }
}

impl Watcher {
    /// What happened since the last look, or since it began to watch.
    pub fn look(&self) -> Glance {
        let Watched { first_token, between_tokens, ended } =
            std::mem::replace(&mut *lock(&self.watched), Watched::new());
        Glance { ttft: first_token.quantiles(), inter_token: between_tokens.quantiles(), ended }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut all = lock(&self.live.watched);
        all.retain(|watched| !Arc::ptr_eq(watched, &self.watched));
        self.live.n_watched.store(all.len(), Ordering::Relaxed);
    }
}

/// Counted in microseconds, to one per cent.
struct Delays(Histogram<u64>);

impl Delays {
    fn new() -> Self {
        const HOUR: u64 = 3_600_000_000;
        Self(Histogram::new_with_max(HOUR, 2).expect("two digits up to an hour are in range"))
    }

    fn add(&mut self, delay: Duration) {
        self.add_all(delay, 1);
    }

    /// The same delay `n` times.
    fn add_all(&mut self, delay: Duration, n: u64) {
        self.0.saturating_record_n(delay.as_micros().try_into().unwrap_or(u64::MAX), n);
    }

    /// `None` if there are no delays.
    fn quantiles(&self) -> Option<Quantiles> {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e6;
        (!self.0.is_empty()).then(|| Quantiles { p50: at(0.5), p95: at(0.95) })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
