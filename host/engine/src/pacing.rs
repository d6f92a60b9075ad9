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

/// Calls `emit` with the tokens that fall due, until `n_tokens` have. The first is due at `first_token_at`, each
/// next one `next_gap()` after the one before. Tokens that are due together are emitted together: the timer has
/// steps of 1 ms, and gaps below it must still come out right on average. An empty answer is emitted once, as `0..0`.
pub(crate) async fn pace(
    first_token_at: Instant,
    n_tokens: usize,
    mut next_gap: impl FnMut() -> Duration,
    mut emit: impl FnMut(Range<usize>),
) {
    let mut due = first_token_at;
    let mut sent = 0;
    loop {
        wait_until(due).await;
        let now = Instant::now();
        let mut end = sent;
        while end < n_tokens && due <= now {
            end += 1;
            if end < n_tokens {
                due += next_gap();
            }
        }
        emit(sent..end);
        sent = end;
        if sent == n_tokens {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn schedule(n_tokens: usize, first: Duration, gap: Duration) -> Vec<(Duration, Range<usize>)> {
        let start = Instant::now();
        let mut sent = Vec::new();
        pace(start + first, n_tokens, || gap, |range| sent.push((start.elapsed(), range))).await;
        sent
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
