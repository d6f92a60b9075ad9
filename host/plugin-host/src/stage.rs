//! Where calls run, and where the next ones begin: for a while not where one was found to take too long.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::runtime::GUEST_THREADS;

/// How long calls stay away from where one took too long. A version that spins again when it is tried again, and has
/// ended no call well between, stays away twice as long each time, up to so many times.
const STAYS_AWAY: Duration = Duration::from_secs(10);
const MOST_DOUBLINGS: u32 = 6;

/// How much of the processor any call may take on the guests' threads, which share it with all others, before it waits
/// for a long turn.
pub(crate) const PATIENCE: Duration = Duration::from_millis(5);

/// What the calls of one version have shown. Times are its age.
#[derive(Debug)]
pub(crate) struct StagePolicy {
    /// Calls skip the serving threads until this age (ms).
    past_here: AtomicU64,
    /// Calls that compute for long go to the background until this age (ms). A busy machine starves them there.
    spins_until: AtomicU64,
    /// Times that it was found to spin, since a call ended well.
    n_spun: AtomicU32,
    /// Turns to compute for long on the guests' threads. As many as those: however many calls spin at once, the first ones
    /// use up their budget soon, and the others are known by them.
    long_turns: Semaphore,
}

impl StagePolicy {
    pub(crate) fn new() -> Self {
        Self {
            past_here: AtomicU64::new(0),
            spins_until: AtomicU64::new(0),
            n_spun: AtomicU32::new(0),
            long_turns: Semaphore::new(GUEST_THREADS),
        }
    }

    /// Whether a call that begins now runs its first slice on the serving thread that asks.
    pub(crate) fn may_run_here(&self, age: Duration) -> bool {
        millis(age) >= self.past_here.load(Ordering::Relaxed)
    }

    /// Whether calls that compute for long have to be expected to spin.
    pub(crate) fn spins(&self, age: Duration) -> bool {
        millis(age) < self.spins_until.load(Ordering::Relaxed)
    }

    /// Waits for a turn on the guests' threads, which lasts until it is dropped.
    pub(crate) async fn long_turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.long_turns.acquire().await.ok()
    }

    /// A call did not end within its slice of a serving thread.
    pub(crate) fn went_past_its_slice(&self, age: Duration) {
        self.past_here.fetch_max(millis(age + STAYS_AWAY), Ordering::Relaxed);
    }

    /// A call ended well: the next one that spins is the first again.
    pub(crate) fn ended_well(&self, age: Duration) {
        self.n_spun.store(0, Ordering::Relaxed);
        let soon = millis(age + STAYS_AWAY);
        self.past_here.fetch_min(soon, Ordering::Relaxed);
        self.spins_until.fetch_min(soon, Ordering::Relaxed);
    }

    /// A call computed for as long as any may. Those that ran beside it show nothing that it did not.
    pub(crate) fn spun(&self, age: Duration) {
        let is_known = self.spins(age);
        let doublings = if is_known { 0 } else { self.n_spun.fetch_add(1, Ordering::Relaxed).min(MOST_DOUBLINGS) };
        let until = millis(age + STAYS_AWAY * (1 << doublings));
        self.past_here.fetch_max(until, Ordering::Relaxed);
        self.spins_until.fetch_max(until, Ordering::Relaxed);
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
    fn calls_stay_away_for_ten_seconds_from_where_one_took_too_long() {
        let policy = StagePolicy::new();
        assert!(policy.may_run_here(ms(0)));
        policy.went_past_its_slice(ms(1_000));
        assert!(!policy.may_run_here(ms(10_999)) && !policy.spins(ms(10_999)));
        assert!(policy.may_run_here(ms(11_000)));
        policy.spun(ms(20_000));
        assert!(!policy.may_run_here(ms(29_999)) && policy.spins(ms(29_999)));
        assert!(policy.may_run_here(ms(30_000)) && !policy.spins(ms(30_000)));
    }

    #[test]
    fn what_spins_again_and_again_is_tried_ever_more_seldom() {
        let policy = StagePolicy::new();
        let mut age = ms(0);
        for away in [10, 20, 40, 80, 160, 320, 640, 640] {
            (0..5).for_each(|_| policy.spun(age));
            assert!(policy.spins(age + Duration::from_secs(away) - ms(1)));
            age += Duration::from_secs(away);
            assert!(!policy.spins(age));
        }
        policy.spun(age);
        policy.ended_well(age);
        assert!(policy.spins(age + ms(9_999)) && !policy.spins(age + ms(10_000)), "and a good end is the way back");
        policy.spun(age + ms(10_000));
        assert!(!policy.spins(age + ms(20_000)));
    }
}
