//! Log-probabilities: nothing is sampled, so they are made up, as a pure function of seed, position and token id, unless the
//! strategy gives its own. Made when they are written, for those tokens alone, and never kept.

use smallvec::{SmallVec, smallvec};

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

/// How likely a strategy says that one of its tokens was.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenLogprob {
    /// Of the token that came.
    pub logprob: f32,
    /// Tokens that might have come in its place, falling.
    pub others: Vec<TokenLogprob>,
}

impl GivenLogprob {
    /// Of the likeliest, those that are given; of those that were chosen and are not given, what is made up.
    fn logprobs(&self, made_up: &Position, alternatives: Alternatives<'_>) -> SmallVec<[TokenLogprob; 1]> {
        let mut tokens = smallvec![TokenLogprob { id: made_up.id, logprob: self.logprob }];
        match alternatives {
            Alternatives::Likeliest(n) => {
                tokens.extend(self.others.iter().filter(|other| other.id != made_up.id).take(n).copied());
            }
            Alternatives::Chosen(_) => {
                let given = |made_up: TokenLogprob| self.others.iter().find(|other| other.id == made_up.id).copied();
                let chosen = made_up.logprobs(alternatives).into_iter().skip(1);
                tokens.extend(chosen.map(|made_up| given(made_up).unwrap_or(made_up)));
            }
        }
        tokens
    }
}

/// Which tokens are told of beside the one that came.
#[derive(Debug, Clone, Copy)]
pub enum Alternatives<'a> {
    /// So many, falling; fewer if the vocabulary has not so many.
    Likeliest(usize),
    /// These ids of the vocabulary, in this order, each once.
    Chosen(&'a [u32]),
}

impl CompletionOutput {
    /// How likely the token at `token_idx` was, and then those that might have come in its place, of a vocabulary that ends
    /// with `last_id`. `None` if the output has no ids.
    pub fn logprobs(
        &self,
        token_idx: usize,
        alternatives: Alternatives<'_>,
        last_id: u32,
    ) -> Option<SmallVec<[TokenLogprob; 1]>> {
        let position = Position::new(self.seed, token_idx, *self.ids.get(token_idx)?, last_id);
        Some(match self.logprobs.get(token_idx) {
            Some(Some(given)) => given.logprobs(&position, alternatives),
            _ => position.logprobs(alternatives),
        })
    }
}

/// Likewise of the token `id` at `position` of a prompt, which no seed decides: equal prompts have equal ones.
pub fn prompt_logprobs(position: usize, id: u32, n_others: usize, last_id: u32) -> SmallVec<[TokenLogprob; 1]> {
    Position::new(0, position, id, last_id).logprobs(Alternatives::Likeliest(n_others))
}

/// A position, and the order of the vocabulary at it: the generated token, and then from a start of its own through all
/// others. All probabilities together are less than 1.
struct Position {
    id: u32,
    /// Of the vocabulary, at least 1.
    size: u64,
    draw: u64,
    /// Of the generated token.
    probability: f64,
}

impl Position {
    fn new(seed: u64, position: usize, id: u32, last_id: u32) -> Self {
        let draw = seed::derive(Purpose::Logprobs, &[seed, position as u64, id.into()]);
        // 53 bits are as many as an `f64` has.
        let share = (draw >> 11) as f64 / (1_u64 << 53) as f64;
        let probability = LEAST_PROBABILITY + (1.0 - LEAST_PROBABILITY) * share;
        Self { id, size: u64::from(last_id) + 1, draw, probability }
    }

    fn logprobs(&self, alternatives: Alternatives<'_>) -> SmallVec<[TokenLogprob; 1]> {
        let mut tokens = smallvec![TokenLogprob { id: self.id, logprob: self.probability.ln() as f32 }];
        match alternatives {
            Alternatives::Likeliest(n) => tokens.extend((1..self.size).take(n).map(|rank| self.ranked(rank))),
            Alternatives::Chosen(ids) => {
                for (before, id) in ids.iter().enumerate() {
                    if *id != self.id && !ids[..before].contains(id) {
                        tokens.push(self.ranked(self.rank(*id)));
                    }
                }
            }
        }
        tokens
    }

    /// The token of a rank, 1 or more.
    fn ranked(&self, rank: u64) -> TokenLogprob {
        let others = self.size - 1;
        let step = 1 + (self.draw % others + rank - 1) % others;
        let id = ((u64::from(self.id) + step) % self.size) as u32;
        // Halved each time; far down the list, too small to be told from nothing.
        let probability = (1.0 - self.probability) * 0.5_f64.powi(rank.min(1000) as i32);
        TokenLogprob { id, logprob: probability.ln() as f32 }
    }

    /// The rank of another token than the generated one.
    fn rank(&self, id: u32) -> u64 {
        let others = self.size - 1;
        let step = (u64::from(id) + self.size - u64::from(self.id)) % self.size;
        1 + (step - 1 + others - self.draw % others) % others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeliest(seed: u64, position: usize, id: u32, n_others: usize, last_id: u32) -> SmallVec<[TokenLogprob; 1]> {
        Position::new(seed, position, id, last_id).logprobs(Alternatives::Likeliest(n_others))
    }

    #[test]
    fn the_generated_token_is_likeliest_and_all_differ() {
        for position in 0..100 {
            let tokens = likeliest(7, position, 3, 20, 30);
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
        let first = |seed, position, id, n_others| likeliest(seed, position, id, n_others, 1000)[0].logprob;
        assert_eq!(first(7, 0, 3, 0), first(7, 0, 3, 20));
        let others = [first(8, 0, 3, 0), first(7, 1, 3, 0), first(7, 0, 4, 0)];
        assert!(!others.contains(&first(7, 0, 3, 0)), "{others:?}");
    }

    #[test]
    fn a_small_vocabulary_has_only_so_many_others() {
        assert_eq!(likeliest(7, 0, 1, 20, 2).len(), 3);
    }

    #[test]
    fn chosen_tokens_are_as_likely_as_they_are_among_all() {
        for position in 0..50 {
            let all = likeliest(7, position, 3, 30, 30);
            let chosen = [9, 3, 30, 9, 0];
            let told = Position::new(7, position, 3, 30).logprobs(Alternatives::Chosen(&chosen));
            assert_eq!(told.iter().map(|token| token.id).collect::<Vec<_>>(), [3, 9, 30, 0]);
            assert!(told.iter().all(|token| all.contains(token)), "{told:?} {all:?}");
        }
    }
}
