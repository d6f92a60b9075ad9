//! Answers with sentences from a bank, at a length that is drawn as real answers' lengths fall.

mod length;

use rehearsal_sdk::{CallError, Completion, Description, Generator, Plugin, Request, export, rng};

/// The plugin; it has nothing to configure.
pub struct Random;

impl Plugin for Random {
    fn describe() -> Description {
        Description::new("random", env!("CARGO_PKG_VERSION"), "sentences from a bank, of random length")
            .with_config_schema(r#"{"type": "object", "additionalProperties": false}"#)
    }

    fn new(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Generator for Random {
    fn generate(&self, request: &Request) -> Result<Completion, CallError> {
        let mut rng = rng(request.seed);
        let n_tokens = length::draw(request, &mut rng);
        Ok(Completion::sentences(n_tokens, &mut rng))
    }
}

export!(Random: generator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_and_only_the_seed() {
        let answer = |seed| Random.generate(&Request { seed, ..Request::chat("hi") }).unwrap();
        assert_eq!(answer(1), answer(1));
        assert_ne!(answer(1), answer(2));
    }

    #[test]
    fn the_text_has_at_least_as_many_words_as_tokens_were_drawn() {
        for seed in 0..200 {
            let request = Request { seed, ignore_eos: true, max_tokens: 1 + seed as u32, ..Request::chat("hi") };
            let answer = Random.generate(&request).unwrap();
            let Some(rehearsal_sdk::Content::Text(text)) = answer.content else { panic!("text expected") };
            assert_eq!(answer.token_limit, Some(request.max_tokens));
            assert!(text.split_whitespace().count() as u32 >= request.max_tokens);
        }
    }
}
