//! The engine's time: real, scaled, or advanced by hand. The only file of this crate that reads a clock or sleeps.
//!
//! A process has one clock, whatever the number of its engines. Engines see [`EngineTime`] alone. On the manual clock
//! no driver has a task: advancing the clock steps all engines, one moment after the other.

mod engines;
mod manual;

use std::ops::Add;
use std::sync::{Arc, MutexGuard, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use engines::Engines;
pub(crate) use engines::Stepped;
pub use manual::ManualClock;

/// A moment: so long after the clock was started. Nanoseconds in 64 bits: 584 years, and what is later is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EngineTime(u64);

impl EngineTime {
    /// When the clock was started.
    pub const START: Self = Self(0);

    /// Later than anything.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The moment that is `elapsed` after the start.
    pub fn after_start(elapsed: Duration) -> Self {
        Self(nanos(elapsed))
    }

    /// How long after the start.
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// How long after `earlier`; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for EngineTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where an engine's time comes from. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The start, in time since 1970.
    epoch: Duration,
    kind: Kind,
    engines: Engines,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Engine time passes `speedup` times as fast as real time.
    Running {
        started: Instant,
        speedup: f64,
    },
    Manual(Arc<ManualClock>),
}

impl Clock {
    /// Real time. `epoch` is now, in time since 1970.
    pub fn real(epoch: Duration) -> Self {
        Self::scaled(epoch, 1.0)
    }

    /// Time that passes `speedup` times as fast as real time; more than 0.
    pub fn scaled(epoch: Duration, speedup: f64) -> Self {
        let kind = Kind::Running { started: Instant::now(), speedup };
        Self { epoch, kind, engines: Engines::default() }
    }

    /// Time that stands still until it is advanced. `epoch` is what it shows at the start, in time since 1970.
    pub fn manual(epoch: Duration) -> Self {
        let engines = Engines::default();
        Self { epoch, kind: Kind::Manual(Arc::new(ManualClock::new(engines.clone()))), engines }
    }

    /// This moment.
    pub fn now(&self) -> EngineTime {
        match &self.kind {
            Kind::Running { started, speedup } => EngineTime::after_start(scaled(started.elapsed(), *speedup)),
            Kind::Manual(manual) => manual.now(),
        }
    }

    /// This moment, in time since 1970.
    pub fn unix_time(&self) -> Duration {
        self.unix_time_at(self.now())
    }

    /// Any moment, in time since 1970.
    pub fn unix_time_at(&self, moment: EngineTime) -> Duration {
        self.epoch + moment.since_start()
    }

    /// How to advance it by hand; `None` if it runs by itself.
    pub fn as_manual(&self) -> Option<&ManualClock> {
        match &self.kind {
            Kind::Running { .. } => None,
            Kind::Manual(manual) => Some(manual),
        }
    }

    /// The next moment at which something is due in any engine.
    pub fn next_deadline(&self) -> Option<EngineTime> {
        self.engines.next_deadline()
    }

    /// Component calls that were begun and have not returned, in all engines.
    pub fn calls_in_flight(&self) -> usize {
        self.engines.calls_in_flight()
    }

    /// Makes an engine known whose time this is. False if the clock runs by itself; else it steps the engine.
    pub(crate) fn add(&self, engine: Weak<dyn Stepped>) -> bool {
        self.engines.add(engine);
        self.as_manual().is_some()
    }

    /// Keeps a manual clock from moving for as long as the guard lives. Taken before the lock of any engine.
    pub(crate) fn stand_still(&self) -> Option<MutexGuard<'_, ()>> {
        self.as_manual().map(ManualClock::stand_still)
    }

    /// How many times as fast as real time it runs; `None` if it is advanced by hand.
    pub fn speedup(&self) -> Option<f64> {
        match &self.kind {
            Kind::Running { speedup, .. } => Some(*speedup),
            Kind::Manual(_) => None,
        }
    }

    /// An engine has no component call in flight.
    pub(crate) fn no_call_in_flight(&self) {
        if let Kind::Manual(manual) = &self.kind {
            manual.no_call_in_flight();
        }
    }

    /// Sleeps until `deadline`, `None`: for ever. Returns at once, without a trip through the timer, if it has passed.
    pub(crate) async fn sleep_until(&self, deadline: Option<EngineTime>) {
        match (&self.kind, deadline) {
            (Kind::Running { started, speedup }, Some(deadline)) => {
                match started.checked_add(scaled(deadline.since_start(), 1.0 / speedup)) {
                    Some(deadline) if deadline <= Instant::now() => {}
                    Some(deadline) => sleep_until(deadline).await,
                    // After the end of time.
                    None => std::future::pending().await,
                }
            }
            _ => std::future::pending().await,
        }
    }
}

/// Sleeps for so long in real time, whatever the engine's clock says: for what is the client's patience.
pub(crate) async fn real_sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

fn scaled(duration: Duration, factor: f64) -> Duration {
    if factor == 1.0 {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn scaled_time_passes_faster_and_its_sleeps_are_shorter() {
        let clock = Clock::scaled(Duration::from_secs(100), 10.0);
        let start = Instant::now();
        clock.sleep_until(Some(EngineTime::after_start(Duration::from_secs(5)))).await;
        assert_eq!(start.elapsed(), Duration::from_millis(500));
        assert_eq!(clock.now(), EngineTime::after_start(Duration::from_secs(5)));
        assert_eq!(clock.unix_time(), Duration::from_secs(105));
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        let end = EngineTime::START + Duration::MAX;
        assert_eq!((end + Duration::MAX, EngineTime::START.since(end)), (end, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_the_past_costs_no_time() {
        let clock = Clock::real(Duration::ZERO);
        let start = Instant::now();
        clock.sleep_until(Some(EngineTime::START)).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
