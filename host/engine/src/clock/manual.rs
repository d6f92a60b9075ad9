//! Time that stands still until it is advanced, and then moves from deadline to deadline.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;

use super::EngineTime;
use super::engines::Engines;

/// A clock that is driven by hand. It never passes a moment at which a component call is in flight, so that a run does not
/// depend on how long the calls really took.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<EngineTime>,
    /// Held while time moves, and while an engine's state changes: nothing happens between two moments.
    standing: Mutex<()>,
    engines: Engines,
    /// Held while time is advanced; a second request to advance it waits for its turn.
    advancing: tokio::sync::Mutex<()>,
    /// An engine has no component call in flight.
    settled: Notify,
}

impl ManualClock {
    pub(super) fn new(engines: Engines) -> Self {
        Self {
            now: Mutex::default(),
            standing: Mutex::default(),
            engines,
            advancing: tokio::sync::Mutex::default(),
            settled: Notify::new(),
        }
    }

    pub(super) fn now(&self) -> EngineTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets so much time pass. If this is dropped on the way, time stays where it has come to.
    pub async fn advance(&self, by: Duration) {
        let _turn = self.advancing.lock().await;
        let end = self.now() + by;
        while self.move_on(Some(end)).await {}
    }

    /// Lets time pass until nothing is due any more and no call is in flight.
    pub async fn advance_until_idle(&self) {
        let _turn = self.advancing.lock().await;
        while self.move_on(None).await {}
    }

    /// Time stands still for as long as the guard lives. Taken before the lock of any engine.
    pub(super) fn stand_still(&self) -> MutexGuard<'_, ()> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn no_call_in_flight(&self) {
        self.settled.notify_waiters();
    }

    /// Moves to the next deadline, or to `end` if nothing is due before, once no call is in flight: one that returns may
    /// bring another deadline. False if there is nothing more to move to.
    async fn move_on(&self, end: Option<EngineTime>) -> bool {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            // From here on, no notice is missed.
            settled.as_mut().enable();
            if let Some(is_more) = self.try_move_on(end) {
                // Clients see this moment before the next, and may give up waiting for the last.
                yield_now().await;
                return is_more;
            }
            settled.await;
        }
    }

    /// `None`, and nothing happens, if a call is in flight.
    fn try_move_on(&self, end: Option<EngineTime>) -> Option<bool> {
        let _standing = self.stand_still();
        if self.engines.calls_in_flight() > 0 {
            return None;
        }
        let deadline = self.engines.next_deadline().filter(|deadline| end.is_none_or(|end| *deadline <= end));
        if let Some(time) = deadline.or(end) {
            *self.now.lock().unwrap_or_else(PoisonError::into_inner) = time;
            self.engines.catch_up(time);
        }
        Some(deadline.is_some())
    }
}
