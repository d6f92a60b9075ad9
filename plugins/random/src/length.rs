//! How long an answer is, in tokens.

use rand_distr::{Distribution, Normal};
use rehearsal_sdk::{Request, Rng, RngExt};

/// Mean and deviation of an answer that nothing limits.
const USUAL_LENGTH: (f64, f64) = (40.0, 20.0);

/// Below this, the Gaussian would be cut to a sliver: lengths are uniform instead.
const SMALL_WINDOW: u32 = 20;

/// A maximum up to which five buckets of equal width fit; past it, all but one are 20 wide.
const EVEN_BUCKETS_UP_TO: u32 = 101;
const BUCKET: u32 = 20;

/// Chances of the five buckets below the maximum, cumulated; what is left is the maximum itself.
const CUMULATED: [f64; 5] = [0.2, 0.5, 0.7, 0.75, 0.85];

/// Draws a length between 1 (or `min-tokens`) and `max-tokens`.
pub(crate) fn draw(request: &Request, rng: &mut impl Rng) -> u32 {
    let max = request.max_tokens;
    let length = if request.ignore_eos {
        max
    } else if request.max_tokens_given {
        below_maximum(max, rng)
    } else {
        usual(max, rng)
    };
    length.max(request.min_tokens).min(max)
}

/// The six-bucket distribution of llm-d's simulator: short answers mostly, a long middle rarely, the maximum often.
fn below_maximum(max: u32, rng: &mut impl Rng) -> u32 {
    if max <= 1 {
        return max;
    }
    if max <= 6 {
        return rng.random_range(1..=max);
    }
    let draw: f64 = rng.random();
    match CUMULATED.iter().position(|chance| draw <= *chance) {
        Some(bucket) => {
            let (start, end) = bucket_range(max, bucket as u32);
            rng.random_range(start..=end)
        }
        None => max,
    }
}

fn bucket_range(max: u32, bucket: u32) -> (u32, u32) {
    if max <= EVEN_BUCKETS_UP_TO {
        let width = f64::from(max - 1) / 5.0;
        let edge = |index: u32| (width * f64::from(index)).floor() as u32;
        return (edge(bucket) + 1, edge(bucket + 1).min(max - 1));
    }
    match bucket {
        0..=2 => (bucket * BUCKET + 1, (bucket + 1) * BUCKET),
        3 => (3 * BUCKET + 1, max - BUCKET),
        _ => (max - BUCKET + 1, max - 1),
    }
}

fn usual(max: u32, rng: &mut impl Rng) -> u32 {
    if max < SMALL_WINDOW {
        return rng.random_range(1..=max);
    }
    let (mean, std_dev) = USUAL_LENGTH;
    let Ok(normal) = Normal::new(mean, std_dev) else { return mean as u32 };
    // At least one draw in six is accepted, whatever the window: this ends.
    loop {
        let length = normal.sample(rng).round();
        if (1.0..=f64::from(max)).contains(&length) {
            return length as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsal_sdk::rng;

    fn lengths(request: &Request) -> Vec<u32> {
        (0..10_000).map(|seed| draw(request, &mut rng(seed))).collect()
    }

    #[test]
    fn buckets_are_the_references() {
        let ranges = |max| (0..5).map(|bucket| bucket_range(max, bucket)).collect::<Vec<_>>();
        assert_eq!(ranges(500), [(1, 20), (21, 40), (41, 60), (61, 480), (481, 499)]);
        assert_eq!(ranges(47), [(1, 9), (10, 18), (19, 27), (28, 36), (37, 46)]);
        assert_eq!(ranges(50), [(1, 9), (10, 19), (20, 29), (30, 39), (40, 49)]);
    }

    #[test]
    fn with_a_maximum_each_bucket_gets_its_share() {
        let lengths = lengths(&Request { max_tokens: 500, max_tokens_given: true, ..Request::chat("hi") });
        let share = |range: std::ops::RangeInclusive<u32>| {
            lengths.iter().filter(|length| range.contains(length)).count() as f64 / lengths.len() as f64
        };
        let ranges =
            [(1..=20, 0.2), (21..=40, 0.3), (41..=60, 0.2), (61..=480, 0.05), (481..=499, 0.1), (500..=500, 0.15)];
        for (range, expected) in ranges {
            assert!((share(range.clone()) - expected).abs() < 0.02, "{range:?}: {}", share(range.clone()));
        }
    }

    #[test]
    fn every_small_maximum_is_kept() {
        for max_tokens in 1..130 {
            let request = Request { max_tokens, max_tokens_given: true, ..Request::chat("hi") };
            assert!((0..200).all(|seed| (1..=max_tokens).contains(&draw(&request, &mut rng(seed)))));
        }
    }

    #[test]
    fn without_a_maximum_lengths_gather_around_forty() {
        let lengths = lengths(&Request { max_tokens: 1000, ..Request::chat("hi") });
        let mean = f64::from(lengths.iter().sum::<u32>()) / lengths.len() as f64;
        assert!((40.0..43.0).contains(&mean), "{mean}");
        let small = Request { max_tokens: 5, ..Request::chat("hi") };
        assert!((0..100).all(|seed| (1..=5).contains(&draw(&small, &mut rng(seed)))));
    }

    #[test]
    fn ignore_eos_fills_and_min_tokens_lifts() {
        let fills = Request { max_tokens: 300, ignore_eos: true, ..Request::chat("hi") };
        assert_eq!(draw(&fills, &mut rng(1)), 300);
        let lifts = Request { max_tokens: 300, min_tokens: 290, max_tokens_given: true, ..Request::chat("hi") };
        assert!((0..100).all(|seed| draw(&lifts, &mut rng(seed)) >= 290));
    }
}
