//! Makes vectors of the tokens of texts alone: equal texts have equal ones, and texts that share tokens are near each other.

use std::collections::BTreeMap;

use rand_distr::{Distribution, StandardNormal};
use rehearsal_sdk::{CallError, Description, Embedder, EmbeddingRequest, NoConfig, Plugin, export, rng};

/// Vectors of tokens are kept during a call, but no more than these.
const MOST_KEPT: usize = 1024;

/// The plugin; it has nothing to configure.
pub struct Embed;

impl Plugin for Embed {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("embed", env!("CARGO_PKG_VERSION"), "makes vectors of texts, near where they share tokens")
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Embedder for Embed {
    fn embed(&self, request: &EmbeddingRequest) -> Result<Vec<Vec<f32>>, CallError> {
        let mut vectors = Vectors { dimensions: request.dimensions as usize, kept: BTreeMap::new() };
        Ok(request.inputs.iter().map(|input| vectors.of(&input.token_ids)).collect())
    }
}

struct Vectors {
    dimensions: usize,
    kept: BTreeMap<u32, Vec<f32>>,
}

/// Multiples of it are spread evenly.
const GOLDEN: f64 = 0.618_033_988_749_895;

impl Vectors {
    /// A vector of length 1: the sum of a random one for each token.
    fn of(&mut self, ids: &[u32]) -> Vec<f32> {
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

fn of_token(id: u32, dimensions: usize) -> Vec<f32> {
    let mut rng = rng(id.into());
    std::iter::repeat_with(|| StandardNormal.sample(&mut rng)).take(dimensions).collect()
}

export!(Embed: embedder);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<f32> {
        Embed.embed(&EmbeddingRequest::text(text, 64)).unwrap().remove(0)
    }

    fn cosine(one: &[f32], other: &[f32]) -> f32 {
        one.iter().zip(other).map(|(one, other)| one * other).sum()
    }

    #[test]
    fn a_vector_has_length_1_and_is_near_those_of_texts_that_share_tokens() {
        let [text, near, far] = ["abcd", "abce", "wxyz"].map(of);
        assert!((cosine(&text, &text) - 1.0).abs() < 1e-5);
        assert!(cosine(&text, &near) > 0.5 && cosine(&text, &far).abs() < 0.4);
        assert_eq!(text, of("abcd"));
        assert_ne!(text, of("dcba"));
    }
}
