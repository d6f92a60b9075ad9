//! Vectors of texts, as the plugin for them makes them.

use axum::http::HeaderMap;
use rehearsal_engine::{EmbeddingRequest, Prompt};

use crate::replica::Replica;
use crate::wire::errors::ApiError;

/// Bytes of vectors that one call of the plugin is asked for. A request of more is put to it in several calls.
const BYTES_PER_CALL: usize = 4 << 20;

/// A vector of so many numbers for each prompt, in their order.
pub(super) async fn of(
    prompts: &[Prompt],
    dimensions: u32,
    model: Option<&str>,
    headers: &HeaderMap,
    replica: &Replica,
) -> Result<Vec<Vec<f32>>, ApiError> {
    let embedder = replica.routing.load().embedder(model);
    let request_id = replica.next_id().into();
    let mut request = EmbeddingRequest {
        request_id,
        model: model.unwrap_or(replica.reported_model()).to_owned(),
        inputs: Vec::new(),
        dimensions,
        seed: replica.engine.config().seed,
        headers: replica.needed_headers(headers),
    };
    let mut vectors = Vec::with_capacity(prompts.len());
    for inputs in prompts.chunks(at_a_time(dimensions)) {
        request.inputs = inputs.to_vec();
        vectors.extend(embedder.embed(&request).await?);
    }
    Ok(vectors)
}

fn at_a_time(dimensions: u32) -> usize {
    (BYTES_PER_CALL / size_of::<f32>() / dimensions.max(1) as usize).max(1)
}

/// How near two vectors are, from -1 to 1; 0 where one of them has no direction.
pub(super) fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let product = |one: &[f32], other: &[f32]| {
        one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum::<f64>()
    };
    let lengths = (product(one, one) * product(other, other)).sqrt();
    if lengths == 0.0 { 0.0 } else { product(one, other) / lengths }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_near_whatever_their_length() {
        assert!((cosine(&[3.0, 4.0], &[6.0, 8.0]) - 1.0).abs() < 1e-12);
        assert_eq!((cosine(&[1.0, 0.0], &[0.0, 2.0]), cosine(&[0.0, 0.0], &[1.0, 0.0])), (0.0, 0.0));
        assert_eq!((at_a_time(8192), at_a_time(1), at_a_time(u32::MAX)), (128, 1 << 20, 1));
    }
}
