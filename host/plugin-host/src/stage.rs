//! Where a call runs, and where the next one starts: for a while not where one was found to take too long.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use crate::epoch::TICK;

/// How long calls start further away after one took too long for a stage. What spins again when it is tried again, and
/// has ended no call well between, stays away twice as long each time, up to so many times.
const STAYS_AWAY: Duration = Duration::from_secs(10);
const MOST_DOUBLINGS: u32 = 6;

/// How much of the processor a call may take on the guests' threads before it is on trial: at least so much, and so many
/// times as much as the longest call that ended well.
const LEAST_PATIENCE: Duration = Duration::from_millis(5);
const PATIENCE_FACTOR: u32 = 10;

/// Where a call runs. Each stage is slower to start and disturbs others less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// On the thread that asked, for one slice.
    Here,
    /// On the guests' threads, which share the processor with all others.
    Guests,
    /// On threads that run only where the processor would be idle. A busy machine starves them: only for what spins.
    Background,
}

/// What the calls of one version have shown. Times are its age.
#[derive(Debug)]
pub(crate) struct StagePolicy {
    /// Calls skip the serving threads until this age (ms), and the guests' threads.
    past_here: AtomicU64,
    past_guests: AtomicU64,
    /// Calls that spun since one ended well.
    n_spun: AtomicU32,
    /// Ticks that the longest call ran which ended well.
    longest: AtomicU64,
    /// The most that a call may run.
    cpu: Duration,
    /// Of the call that is tried.
    trial: Mutex<()>,
}

impl StagePolicy {
    pub(crate) fn new(cpu: Duration) -> Self {
        Self {
            past_here: AtomicU64::new(0),
            past_guests: AtomicU64::new(0),
            n_spun: AtomicU32::new(0),
            longest: AtomicU64::new(0),
            cpu,
            trial: Mutex::new(()),
        }
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

    /// A call did not end within its slice of a serving thread.
    pub(crate) fn went_past_here(&self, age: Duration) {
        self.past_here.store(millis(age + STAYS_AWAY), Ordering::Relaxed);
    }

    /// For a call that takes longer than its patience: one at a time.
    pub(crate) async fn trial(&self) -> MutexGuard<'_, ()> {
        self.trial.lock().await
    }

    /// How much of the processor a call may take on the guests' threads.
    pub(crate) fn patience(&self) -> Duration {
        let longest = TICK * u32::try_from(self.longest.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        LEAST_PATIENCE.max(longest.saturating_mul(PATIENCE_FACTOR)).min(self.cpu)
    }

    /// A call ended well, after so many ticks.
    pub(crate) fn ended_well(&self, ticks: u64) {
        self.n_spun.store(0, Ordering::Relaxed);
        self.longest.fetch_max(ticks, Ordering::Relaxed);
    }

    /// A call ran for as long as any may. The next ones start in the background. Those that ran beside it show nothing
    /// that it did not.
    pub(crate) fn spun(&self, age: Duration) {
        let doublings = match self.first_stage(age) {
            Stage::Background => 0,
            Stage::Here | Stage::Guests => self.n_spun.fetch_add(1, Ordering::Relaxed).min(MOST_DOUBLINGS),
        };
        let until = millis(age + STAYS_AWAY * (1 << doublings));
        self.past_here.fetch_max(until, Ordering::Relaxed);
        self.past_guests.fetch_max(until, Ordering::Relaxed);
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
        policy.went_past_here(ms(1_000));
        assert_eq!(policy.first_stage(ms(10_999)), Stage::Guests);
        assert_eq!(policy.first_stage(ms(11_000)), Stage::Here);
        policy.spun(ms(20_000));
        assert_eq!(policy.first_stage(ms(29_999)), Stage::Background);
        assert_eq!(policy.first_stage(ms(30_000)), Stage::Here);
    }

    #[test]
    fn what_spins_again_and_again_is_tried_ever_more_seldom() {
        let policy = StagePolicy::new(ms(200));
        let mut age = ms(0);
        for away in [10, 20, 40, 80, 160, 320, 640, 640] {
            (0..5).for_each(|_| policy.spun(age));
            assert_eq!(policy.first_stage(age + Duration::from_secs(away) - ms(1)), Stage::Background);
            age += Duration::from_secs(away);
            assert_eq!(policy.first_stage(age), Stage::Here);
        }
        policy.ended_well(1);
        policy.spun(age);
        assert_eq!(policy.first_stage(age + ms(10_000)), Stage::Here);
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
