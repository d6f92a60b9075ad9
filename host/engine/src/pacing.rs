//! When tokens leave. The only file that sleeps, and only until absolute deadlines: being woken late delays the
//! tokens that are due, never the ones after them.

use std::ops::Range;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Sleeps until `deadline`; returns at once, without a trip through the timer, if it has passed.
pub(crate) async fn wait_until(deadline: Instant) {
    if deadline > Instant::now() {
        sleep_until(deadline).await;
    }
}

/// Says which tokens fall due, until all have. Tokens that are due together are said together: the timer has steps of
/// 1 ms, and gaps below it must still come out right on average.
pub(crate) struct Pacer {
    due: Instant,
    sent: usize,
    n_tokens: usize,
}

impl Pacer {
    /// The first of `n_tokens` tokens is due at `first_token_at`.
    pub(crate) fn new(first_token_at: Instant, n_tokens: usize) -> Self {
        Self { due: first_token_at, sent: 0, n_tokens }
    }

    /// Waits for the next token and returns those that are due: each `next_gap()` after the one before. An empty answer
    /// is due once, as `0..0`. Not to be called again after the last token.
    pub(crate) async fn next(&mut self, mut next_gap: impl FnMut() -> Duration) -> Range<usize> {
        wait_until(self.due).await;
        let now = Instant::now();
        let start = self.sent;
        while self.sent < self.n_tokens && self.due <= now {
            self.sent += 1;
            if self.sent < self.n_tokens {
                self.due += next_gap();
            }
        }
        start..self.sent
    }

    /// Of what was due, only the tokens before `sent` could be sent. The next one is due at `due`.
    pub(crate) fn resume(&mut self, sent: usize, due: Instant) {
        (self.sent, self.due) = (sent, due);
    }

    /// When the next token is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn schedule(n_tokens: usize, first: Duration, gap: Duration) -> Vec<(Duration, Range<usize>)> {
        let start = Instant::now();
        let mut sent = Vec::new();
        let mut pacer = Pacer::new(start + first, n_tokens);
        loop {
            let due = pacer.next(|| gap).await;
            sent.push((start.elapsed(), due.clone()));
            if due.end == n_tokens {
                return sent;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_token_per_gap() {
        let ms = Duration::from_millis;
        assert_eq!(schedule(3, ms(50), ms(20)).await, vec![(ms(50), 0..1), (ms(70), 1..2), (ms(90), 2..3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_latency_sends_everything_at_once() {
        assert_eq!(schedule(100, Duration::ZERO, Duration::ZERO).await, vec![(Duration::ZERO, 0..100)]);
    }

    #[tokio::test(start_paused = true)]
    async fn gaps_below_a_millisecond_are_right_on_average() {
        let sent = schedule(10_001, Duration::ZERO, Duration::from_micros(100)).await;
        let (end, last) = sent.last().unwrap();
        assert_eq!(last.end, 10_001);
        assert!((1000..=1001).contains(&end.as_millis()), "{end:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_answer_still_takes_its_time() {
        assert_eq!(schedule(0, Duration::from_millis(7), Duration::ZERO).await, vec![(Duration::from_millis(7), 0..0)]);
    }
}
