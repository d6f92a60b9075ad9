//! Vectors of texts, made of their tokens alone.

use rand_distr::{Distribution, StandardNormal};
use rehearsal_engine::seed::{self, Purpose};

/// A vector of length 1 for these tokens: the sum of a random one for each. Where two texts share tokens, their vectors are
/// near each other.
pub(super) fn embedding(ids: &[u32], dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimensions];
    for (position, id) in ids.iter().enumerate() {
        // A little of it is the token's place, so that the order of words matters.
        for (seed, weight) in [(vec![u64::from(*id)], 1.0), (vec![(*id).into(), position as u64], 0.2)] {
            let mut rng = seed::rng(Purpose::Embedding, &seed);
            for value in &mut sum {
                let drawn: f64 = StandardNormal.sample(&mut rng);
                *value += weight * drawn;
            }
        }
    }
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    sum.iter().map(|value| (value / length) as f32).collect()
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
        let [text, near, far] = [&[1, 2, 3, 4][..], &[1, 2, 3, 5], &[6, 7, 8, 9]].map(|ids| embedding(ids, 64));
        assert!((cosine(&text, &text) - 1.0).abs() < 1e-6);
        assert!(cosine(&text, &near) > 0.5 && cosine(&text, &far).abs() < 0.4);
        assert_eq!(text, embedding(&[1, 2, 3, 4], 64));
        assert_ne!(text, embedding(&[4, 3, 2, 1], 64));
    }
}
