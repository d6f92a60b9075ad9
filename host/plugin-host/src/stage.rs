//! Where a call runs, and where the next one starts: for a while not where one was found to take too long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::epoch::TICK;

/// How long calls start further away after one took too long for a stage.
const STAYS_AWAY: Duration = Duration::from_secs(10);

/// How long a call may run on the guests' threads before it goes to the background, where a busy machine may starve it:
/// at least so long, and so many times as long as the longest call that ended well. A guest that spins must get there;
/// one in a slow language must not.
const LEAST_PATIENCE: Duration = Duration::from_millis(5);
const PATIENCE_FACTOR: u32 = 10;

/// Where a call runs. Each stage is slower to start and disturbs others less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// On the thread that asked, for one slice.
    Here,
    /// On the guests' threads, for as long as a good plugin in a slow language may take.
    Guests,
    /// On threads that run only where the processor would be idle.
    Background,
}

/// What the calls of one version have shown. Times are its age.
#[derive(Debug)]
pub(crate) struct StagePolicy {
    /// Calls skip the serving threads until this age (ms), and the guests' threads.
    past_here: AtomicU64,
    past_guests: AtomicU64,
    /// Ticks that the longest call ran which ended well.
    longest: AtomicU64,
    /// The most that a call may run.
    cpu: Duration,
}

impl StagePolicy {
    pub(crate) fn new(cpu: Duration) -> Self {
        Self { past_here: AtomicU64::new(0), past_guests: AtomicU64::new(0), longest: AtomicU64::new(0), cpu }
    }

    /// Where a call starts that begins now.
    pub(crate) fn first_stage(&self, age: Duration) -> Stage {
        let is_away = |until: &AtomicU64| millis(age) < until.load(Ordering::Relaxed);
        if is_away(&self.past_guests) {
            Stage::Background
        } else if is_away(&self.past_here) {
            Stage::Guests
        } else {
            Stage::Here
        }
    }

    /// A call did not end within this stage.
    pub(crate) fn went_past(&self, stage: Stage, age: Duration) {
        let until = millis(age + STAYS_AWAY);
        match stage {
            Stage::Here => self.past_here.store(until, Ordering::Relaxed),
            Stage::Guests => self.past_guests.store(until, Ordering::Relaxed),
            Stage::Background => {}
        }
    }

    /// How long a call may run on the guests' threads.
    pub(crate) fn patience(&self) -> Duration {
        let longest = TICK * u32::try_from(self.longest.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        LEAST_PATIENCE.max(longest.saturating_mul(PATIENCE_FACTOR)).min(self.cpu)
    }

    /// A call ended well, after so many ticks.
    pub(crate) fn ended_well(&self, ticks: u64) {
        self.longest.fetch_max(ticks, Ordering::Relaxed);
    }

    /// A call that went to the background was only slow: calls need not start there any more.
    pub(crate) fn came_back(&self) {
        self.past_guests.store(0, Ordering::Relaxed);
    }

    /// Timed out in the background: its next calls start there for 10 s.
    pub(crate) fn spun(&self, age: Duration) {
        self.went_past(Stage::Here, age);
        self.went_past(Stage::Guests, age);
    }
}

fn millis(age: Duration) -> u64 {
    age.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn calls_start_further_away_for_ten_seconds_after_one_took_too_long() {
        let policy = StagePolicy::new(ms(200));
        assert_eq!(policy.first_stage(ms(0)), Stage::Here);
        policy.went_past(Stage::Here, ms(1_000));
        assert_eq!(policy.first_stage(ms(10_999)), Stage::Guests);
        assert_eq!(policy.first_stage(ms(11_000)), Stage::Here);
        policy.spun(ms(20_000));
        assert_eq!(policy.first_stage(ms(29_999)), Stage::Background);
        assert_eq!(policy.first_stage(ms(30_000)), Stage::Here);
    }

    #[test]
    fn one_that_was_only_slow_comes_back_from_the_background() {
        let policy = StagePolicy::new(ms(200));
        policy.spun(ms(0));
        policy.came_back();
        assert_eq!(policy.first_stage(ms(1)), Stage::Guests);
    }

    #[test]
    fn patience_is_ten_times_the_longest_good_call_within_bounds() {
        let policy = StagePolicy::new(ms(200));
        assert_eq!(policy.patience(), ms(5));
        policy.ended_well(3);
        policy.ended_well(2);
        assert_eq!(policy.patience(), ms(30));
        policy.ended_well(1_000);
        assert_eq!(policy.patience(), ms(200));
    }
}
