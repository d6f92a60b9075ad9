//! Log-probabilities: nothing is sampled, so they are made up, as a pure function of seed, position and token id. Made when
//! they are written, for those tokens alone, and never kept.

use super::CompletionOutput;
use crate::seed::{self, Purpose};

/// A token that might have come at a position, and how likely it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogprob {
    /// Its id.
    pub id: u32,
    /// Natural logarithm of its probability; 0 at most.
    pub logprob: f32,
}

/// The generated token is at least so likely, and so the likeliest.
const LEAST_PROBABILITY: f64 = 0.5;

impl CompletionOutput {
    /// How likely the token at `token_idx` was, and then, falling, `n_others` that might have come in its place, of a
    /// vocabulary that ends with `last_id`; fewer if it has not so many. `None` if the output has no ids.
    pub fn logprobs(
        &self,
        token_idx: usize,
        n_others: usize,
        last_id: u32,
    ) -> Option<impl Iterator<Item = TokenLogprob> + use<>> {
        Some(logprobs(self.seed, token_idx, *self.ids.get(token_idx)?, n_others, last_id))
    }
}

/// Likewise of the token `id` at `position` of a prompt, which no seed decides: equal prompts have equal ones.
pub fn prompt_logprobs(position: usize, id: u32, n_others: usize, last_id: u32) -> impl Iterator<Item = TokenLogprob> {
    logprobs(0, position, id, n_others, last_id)
}

/// All probabilities of a position together are less than 1.
fn logprobs(seed: u64, position: usize, id: u32, n_others: usize, last_id: u32) -> impl Iterator<Item = TokenLogprob> {
    let draw = seed::derive(Purpose::Logprobs, &[seed, position as u64, id.into()]);
    // 53 bits are as many as an `f64` has.
    let share = (draw >> 11) as f64 / (1_u64 << 53) as f64;
    let probability = LEAST_PROBABILITY + (1.0 - LEAST_PROBABILITY) * share;
    let rest = 1.0 - probability;
    let token = |id: u32, probability: f64| TokenLogprob { id, logprob: probability.ln() as f32 };
    let size = u64::from(last_id) + 1;
    let others = (1..size).take(n_others).map(move |rank| {
        // From a start of its own through the whole vocabulary, the generated token left out.
        let step = 1 + (draw.wrapping_add(rank - 1)) % (size - 1);
        let other = ((u64::from(id) + step) % size) as u32;
        // Halved each time; far down the list, too small to be told from nothing.
        token(other, rest * 0.5_f64.powi(rank.min(1000) as i32))
    });
    std::iter::once(token(id, probability)).chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_token_is_likeliest_and_all_differ() {
        for position in 0..100 {
            let tokens: Vec<_> = logprobs(7, position, 3, 20, 30).collect();
            assert_eq!((tokens.len(), tokens[0].id), (21, 3));
            assert!(tokens.is_sorted_by(|before, after| before.logprob > after.logprob), "{tokens:?}");
            let sum: f64 = tokens.iter().map(|token| f64::from(token.logprob).exp()).sum();
            assert!(sum <= 1.0 + 1e-6, "{sum}");
            let mut ids: Vec<_> = tokens.iter().map(|token| token.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 21);
            assert!(ids.iter().all(|id| *id <= 30));
        }
    }

    #[test]
    fn seed_position_and_id_decide_and_nothing_else() {
        let first = |seed, position, id, n_others| logprobs(seed, position, id, n_others, 1000).next().unwrap().logprob;
        assert_eq!(first(7, 0, 3, 0), first(7, 0, 3, 20));
        let others = [first(8, 0, 3, 0), first(7, 1, 3, 0), first(7, 0, 4, 0)];
        assert!(!others.contains(&first(7, 0, 3, 0)), "{others:?}");
    }

    #[test]
    fn a_small_vocabulary_has_only_so_many_others() {
        assert_eq!(logprobs(7, 0, 1, 20, 2).count(), 3);
    }
}
