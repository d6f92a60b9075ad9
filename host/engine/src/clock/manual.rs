//! Time that stands still until it is advanced, and then moves from deadline to deadline.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::EngineTime;
use super::engines::Engines;

/// A clock that is driven by hand. It never passes a moment at which a component call is in flight, so that a run does not
/// depend on how long the calls really took.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<EngineTime>,
    engines: Engines,
    /// Held while time is advanced; a second request to advance it waits for its turn.
    advancing: tokio::sync::Mutex<()>,
    /// An engine has no component call in flight.
    settled: Notify,
}

impl ManualClock {
    pub(super) fn new(engines: Engines) -> Self {
        Self { now: Mutex::default(), engines, advancing: tokio::sync::Mutex::default(), settled: Notify::new() }
    }

    pub(super) fn now(&self) -> EngineTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets so much time pass. If this is dropped on the way, time stays where it has come to.
    pub async fn advance(&self, by: Duration) {
        let _turn = self.advancing.lock().await;
        let end = self.now() + by;
        while let Some(deadline) = self.next_deadline().await.filter(|deadline| *deadline <= end) {
            self.move_to(deadline);
        }
        self.move_to(end);
    }

    /// Lets time pass until nothing is due any more and no call is in flight.
    pub async fn advance_until_idle(&self) {
        let _turn = self.advancing.lock().await;
        while let Some(deadline) = self.next_deadline().await {
            self.move_to(deadline);
        }
    }

    pub(super) fn no_call_in_flight(&self) {
        self.settled.notify_waiters();
    }

    /// The next deadline, once no call is in flight: one that returns may bring another deadline.
    async fn next_deadline(&self) -> Option<EngineTime> {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            // From here on, no notice is missed.
            settled.as_mut().enable();
            if self.engines.calls_in_flight() == 0 {
                return self.engines.next_deadline();
            }
            settled.await;
        }
    }

    fn move_to(&self, time: EngineTime) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = time;
        self.engines.catch_up();
    }
}
