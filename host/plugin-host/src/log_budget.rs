//! How much the instances of a plugin may log together: bursts, but not all the time.

use std::sync::{Mutex, PoisonError};

use crate::real_time::Instant;

/// Lines at once, after a silence.
const BURST: f64 = 1_000.0;

/// Lines a second for good.
const RATE: f64 = 100.0;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct LogBudget(Mutex<Left>);

#[derive(Debug)]
struct Left {
    lines: f64,
    at: Instant,
    /// The plugin was told about since it had half of its burst.
    is_told: bool,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    Logged,
    Dropped,
    /// It is the first one in a while, of which the log is to tell.
    FirstDropped,
}

impl LogBudget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Left { lines: BURST, at: Instant::now(), is_told: false }))
    }

    /// Asks for one line.
    pub(crate) fn take(&self) -> Ruling {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Ruling {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.lines = (left.lines + RATE * now.saturating_duration_since(left.at).as_secs_f64()).min(BURST);
        left.at = now;
        if left.lines >= 1.0 {
            left.lines -= 1.0;
            left.is_told &= left.lines < BURST / 2.0;
            return Ruling::Logged;
        }
        if std::mem::replace(&mut left.is_told, true) { Ruling::Dropped } else { Ruling::FirstDropped }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_logged_and_then_so_many_lines_a_second() {
        let (budget, start) = (LogBudget::new(), Instant::now());
        let take = |seconds| budget.take_at(start + Duration::from_secs(seconds));
        let logged = |n, seconds| (0..n).filter(|_| take(seconds) == Ruling::Logged).count();
        assert_eq!(logged(1_000, 0), 1_000);
        assert_eq!((take(0), take(0)), (Ruling::FirstDropped, Ruling::Dropped));
        assert_eq!(logged(150, 1), 100);
        assert_eq!(take(1), Ruling::Dropped, "it was told of not long ago");
        assert_eq!(logged(1_000, 60), 1_000);
        assert_eq!(take(60), Ruling::FirstDropped);
    }
}
