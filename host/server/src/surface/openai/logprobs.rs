//! Log-probabilities of the tokens of an answer, made as they are written.

use std::ops::Range;
use std::sync::Arc;

use rehearsal_engine::output::TokenLogprob;
use rehearsal_engine::{CompletionOutput, Tokenizer};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::generate::Envelope;

/// What a request wants to know of how likely its tokens were.
pub(crate) struct Logprobs {
    /// How many tokens for each position, the generated one included; `None` if it wants to know nothing.
    n_top: Option<usize>,
    tokenizer: Arc<dyn Tokenizer>,
}

/// `choices[].logprobs` of a chat.
#[derive(Debug, Serialize)]
pub(crate) struct ChatLogprobs {
    content: Vec<PositionLogprobs>,
}

#[derive(Debug, Serialize)]
struct PositionLogprobs {
    #[serde(flatten)]
    generated: NamedLogprob,
    top_logprobs: Vec<NamedLogprob>,
}

#[derive(Debug, Clone, Serialize)]
struct NamedLogprob {
    token: String,
    /// As Python prints what was 32 bits.
    logprob: f64,
    bytes: Vec<u8>,
}

/// `choices[].logprobs` of a text completion.
#[derive(Debug, Serialize)]
pub(crate) struct TextLogprobs {
    text_offset: Vec<usize>,
    token_logprobs: Vec<f64>,
    tokens: Vec<String>,
    top_logprobs: Vec<Map<String, Value>>,
}

impl Logprobs {
    /// Of `n_top` tokens for each position.
    pub(crate) fn new(n_top: Option<usize>, envelope: &Envelope) -> Self {
        Self { n_top, tokenizer: envelope.tokenizer.clone() }
    }

    /// Those of the output's `tokens`, for a chat.
    pub(crate) fn chat(&self, output: &CompletionOutput, tokens: Range<usize>) -> Option<ChatLogprobs> {
        let n_top = self.n_top?;
        let content = tokens.filter_map(|token_idx| {
            let named = self.position(output, token_idx, n_top)?;
            let generated = named.first()?.clone();
            Some(PositionLogprobs { generated, top_logprobs: named.into_iter().take(n_top).collect() })
        });
        Some(ChatLogprobs { content: content.collect() })
    }

    /// Those of the output's `tokens`, for a text completion in which `offset` characters come before them; that is moved
    /// on.
    pub(crate) fn text(
        &self,
        output: &CompletionOutput,
        tokens: Range<usize>,
        offset: &mut usize,
    ) -> Option<TextLogprobs> {
        let n_top = self.n_top?;
        let mut logprobs = TextLogprobs {
            text_offset: Vec::with_capacity(tokens.len()),
            token_logprobs: Vec::with_capacity(tokens.len()),
            tokens: Vec::with_capacity(tokens.len()),
            top_logprobs: Vec::with_capacity(tokens.len()),
        };
        for token_idx in tokens {
            let named = self.position(output, token_idx, n_top)?;
            let generated = named.first()?;
            logprobs.text_offset.push(std::mem::replace(offset, *offset + generated.token.chars().count()));
            logprobs.token_logprobs.push(generated.logprob);
            logprobs.tokens.push(generated.token.clone());
            logprobs.top_logprobs.push(named.into_iter().map(|named| (named.token, named.logprob.into())).collect());
        }
        Some(logprobs)
    }

    /// The generated token, and others up to `n_top` in all.
    fn position(&self, output: &CompletionOutput, token_idx: usize, n_top: usize) -> Option<Vec<NamedLogprob>> {
        let tokens = output.logprobs(token_idx, n_top.saturating_sub(1), self.tokenizer.last_id())?;
        let named = |TokenLogprob { id, logprob }| {
            let token = self.tokenizer.decode(&[id]);
            NamedLogprob { bytes: token.clone().into_bytes(), token, logprob: f64::from(logprob) }
        };
        Some(tokens.map(named).collect())
    }
}
