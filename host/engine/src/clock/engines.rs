//! The engines of a process, as their clock sees them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::EngineTime;

/// An engine, as a clock sees it.
pub(crate) trait Stepped: Send + Sync {
    /// The next moment at which something is due.
    fn next_deadline(&self) -> Option<EngineTime>;

    /// Component calls that were begun and have not returned.
    fn calls_in_flight(&self) -> usize;

    /// Does all that is due until `now`.
    fn catch_up(&self, now: EngineTime);
}

/// Those of one clock, in the order of their ranks.
#[derive(Clone, Default)]
pub(super) struct Engines(Arc<Mutex<Vec<Weak<dyn Stepped>>>>);

impl Engines {
    pub(super) fn add(&self, engine: Weak<dyn Stepped>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(engine);
    }

    pub(super) fn next_deadline(&self) -> Option<EngineTime> {
        self.each(|engine| engine.next_deadline()).flatten().min()
    }

    pub(super) fn calls_in_flight(&self) -> usize {
        self.each(|engine| engine.calls_in_flight()).sum()
    }

    pub(super) fn catch_up(&self, now: EngineTime) {
        self.each(|engine| engine.catch_up(now)).for_each(drop);
    }

    fn each<T>(&self, each: impl Fn(&dyn Stepped) -> T) -> impl Iterator<Item = T> {
        let engines = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        engines.into_iter().filter_map(move |engine| engine.upgrade().map(|engine| each(&*engine)))
    }
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engines")
    }
}
