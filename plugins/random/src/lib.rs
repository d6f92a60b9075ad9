//! Answers with sentences from a bank, at a length that is drawn as real answers' lengths fall.

mod length;

use rehearsal_sdk::{
    CallError, Completion, Content, Description, Generator, Plugin, Request, Rng, RngExt, export, rng, tokenizer,
};
use rehearsal_synthesis::{sentences, structured};
use schemars::JsonSchema;
use serde::Deserialize;

/// The plugin, which is its configuration.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Random {
    /// Chance, in percent, of an answer that is thought over first.
    #[serde(rename = "reasoning-probability")]
    #[schemars(range(max = 100))]
    reasoning: u32,
}

impl Plugin for Random {
    type Config = Self;

    fn describe() -> Description {
        Description::new("random", env!("CARGO_PKG_VERSION"), "sentences from a bank, of random length")
    }

    fn new(config: Self) -> Result<Self, String> {
        Ok(config)
    }
}

impl Generator for Random {
    fn generate(&self, request: &Request) -> Result<Completion, CallError> {
        let mut rng = rng(request.seed);
        let n_tokens = length::draw(request, &mut rng);
        let completion = match structured(request, &mut rng) {
            Some(structured) => structured?,
            None => Completion::text(sentences(n_tokens, &mut rng)).limited_to(n_tokens),
        };
        Ok(self.with_reasoning(completion, n_tokens, request, &mut rng))
    }
}

/// Too few tokens for thought and answer.
const TOO_SHORT: u32 = 4;

impl Random {
    /// The answer with some thought before it, whose tokens come off the answer's.
    fn with_reasoning(
        &self,
        completion: Completion,
        n_tokens: u32,
        request: &Request,
        rng: &mut impl Rng,
    ) -> Completion {
        let is_wanted = request.reasoning_effort.as_deref() != Some("none") && self.reasoning > 0;
        if !is_wanted || n_tokens < TOO_SHORT || rng.random_range(0..100) >= self.reasoning {
            return completion;
        }
        let n_words = (n_tokens / TOO_SHORT) as usize;
        let text = sentences(n_tokens, rng);
        let thought = text.split_whitespace().take(n_words).collect::<Vec<_>>().join(" ");
        let n_left = n_tokens.saturating_sub(tokenizer::count(&thought)).max(1);
        let token_limit = completion.token_limit.map(|limit| limit.min(n_left));
        Completion { reasoning: Some(Content::Text(thought)), token_limit, ..completion }
    }
}

export!(Random: generator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thought_comes_off_the_answer() {
        let request = Request { ignore_eos: true, max_tokens: 100, ..Request::chat("hi") };
        let answer = Random { reasoning: 100 }.generate(&request).unwrap();
        let Some(Content::Text(thought)) = answer.reasoning else { panic!("thought expected") };
        assert_eq!(answer.token_limit, Some(100_u32.saturating_sub(tokenizer::count(&thought)).max(1)));
        let hushed = Request { reasoning_effort: Some("none".into()), ..request };
        assert_eq!(Random { reasoning: 100 }.generate(&hushed).unwrap().reasoning, None);
    }

    #[test]
    fn the_seed_decides_and_only_the_seed() {
        let answer = |seed| Random::default().generate(&Request { seed, ..Request::chat("hi") }).unwrap();
        assert_eq!(answer(1), answer(1));
        assert_ne!(answer(1), answer(2));
    }

    #[test]
    fn the_text_has_at_least_as_many_words_as_tokens_were_drawn() {
        for seed in 0..200 {
            let request = Request { seed, ignore_eos: true, max_tokens: 1 + seed as u32, ..Request::chat("hi") };
            let answer = Random::default().generate(&request).unwrap();
            let Some(rehearsal_sdk::Content::Text(text)) = answer.content else { panic!("text expected") };
            assert_eq!(answer.token_limit, Some(request.max_tokens));
            assert!(text.split_whitespace().count() as u32 >= request.max_tokens);
        }
    }
}
