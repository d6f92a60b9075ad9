//! Vectors of texts, made of their tokens alone.

use std::collections::HashMap;

use rand_distr::{Distribution, StandardNormal};
use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::tokenizer::aside;

/// Vectors of tokens are kept while a request is answered, but no more than these.
const MOST_KEPT: usize = 1024;

/// Makes vectors of one length.
pub(super) struct Vectors {
    dimensions: usize,
    kept: HashMap<u32, Vec<f32>>,
}

impl Vectors {
    /// Of so many numbers each.
    pub(super) fn new(dimensions: usize) -> Self {
        Self { dimensions, kept: HashMap::new() }
    }

    /// A vector of length 1 for these tokens: the sum of a random one for each. Where two texts share tokens, their vectors
    /// are near each other.
    pub(super) fn of(&mut self, ids: &[u32]) -> Vec<f32> {
        // It may take a while.
        aside(ids.len() * self.dimensions, || self.sum(ids))
    }

    fn sum(&mut self, ids: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0_f64; self.dimensions];
        for (position, id) in ids.iter().enumerate() {
            // A token counts a little more in one place than in another, so that the order of words matters.
            let weight = 1.0 + 0.2 * (position as f64 * GOLDEN).fract();
            if self.kept.len() >= MOST_KEPT && !self.kept.contains_key(id) {
                self.kept.clear();
            }
            let of_token = self.kept.entry(*id).or_insert_with(|| of_token(*id, self.dimensions));
            sum.iter_mut().zip(of_token).for_each(|(sum, value)| *sum += weight * f64::from(*value));
        }
        let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
        sum.iter().map(|value| (value / length) as f32).collect()
    }
}

/// Multiples of it are spread evenly.
const GOLDEN: f64 = 0.618_033_988_749_895;

fn of_token(id: u32, dimensions: usize) -> Vec<f32> {
    let mut rng = seed::rng(Purpose::Embedding, &[id.into()]);
    std::iter::repeat_with(|| StandardNormal.sample(&mut rng)).take(dimensions).collect()
}

/// How near two vectors of length 1 are, from -1 to 1.
pub(super) fn cosine(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_length_1_and_is_near_those_of_texts_that_share_tokens() {
        let [text, near, far] = [&[1, 2, 3, 4][..], &[1, 2, 3, 5], &[6, 7, 8, 9]].map(|ids| Vectors::new(64).of(ids));
        assert!((cosine(&text, &text) - 1.0).abs() < 1e-6);
        assert!(cosine(&text, &near) > 0.5 && cosine(&text, &far).abs() < 0.4);
        assert_eq!(text, Vectors::new(64).of(&[1, 2, 3, 4]));
        assert_ne!(text, Vectors::new(64).of(&[4, 3, 2, 1]));
    }
}
