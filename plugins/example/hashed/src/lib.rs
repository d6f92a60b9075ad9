//! Vectors without a model: each token counts in one place of the vector, which follows from its id. Texts that share tokens
//! are near each other.

use rehearsal_sdk::{CallError, Description, Embedder, EmbeddingRequest, NoConfig, Plugin, export};

/// The plugin; it has nothing to configure.
pub struct Hashed;

impl Plugin for Hashed {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("hashed", env!("CARGO_PKG_VERSION"), "makes vectors that count tokens")
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Embedder for Hashed {
    fn embed(&self, request: &EmbeddingRequest) -> Result<Vec<Vec<f32>>, CallError> {
        Ok(request.inputs.iter().map(|input| vector(&input.token_ids, request.dimensions)).collect())
    }
}

/// Of length 1.
fn vector(ids: &[u32], dimensions: u32) -> Vec<f32> {
    let mut counts = vec![0.0; dimensions as usize];
    for id in ids {
        // Knuth's multiplicative hash.
        let place = id.wrapping_mul(2_654_435_761) % dimensions;
        counts[place as usize] += 1.0;
    }
    let length = counts.iter().map(|count| count * count).sum::<f32>().sqrt();
    counts.into_iter().map(|count| count / length).collect()
}

export!(Hashed: embedder);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_share_tokens_are_near() {
        let of = |text: &str| Hashed.embed(&EmbeddingRequest::text(text, 64)).unwrap().remove(0);
        let cosine =
            |one: &str, other: &str| of(one).iter().zip(of(other)).map(|(one, other)| one * other).sum::<f32>();
        assert!((cosine("tea", "tea") - 1.0).abs() < 1e-6);
        assert!(cosine("tea time", "tea times") > cosine("tea time", "quick fox"));
    }
}
