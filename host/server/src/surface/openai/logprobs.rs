//! Log-probabilities of the tokens of an answer and of its prompt, made as they are written.

use std::ops::Range;
use std::sync::Arc;

use rehearsal_engine::output::{Alternatives, TokenLogprob, prompt_logprobs};
use rehearsal_engine::{CompletionOutput, Tokenizer};
use serde::Serialize;
use serde_json::{Map, Value, json};
use smallvec::SmallVec;

use super::Shown;
use crate::generate::Envelope;

/// What a request wants to know of how likely its tokens were.
pub(crate) struct Logprobs {
    /// How many tokens for each position, the generated one included; `None` if it wants to know nothing.
    n_top: Option<usize>,
    /// Beside the generated token, these; empty: the likeliest.
    chosen: Vec<u32>,
    /// Likewise for each position of the prompt.
    n_prompt: Option<usize>,
    /// Tokens are named `token_id:5`.
    names_ids: bool,
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
#[derive(Debug, Default, Serialize)]
pub(crate) struct TextLogprobs {
    text_offset: Vec<usize>,
    token_logprobs: Vec<Option<f64>>,
    tokens: Vec<String>,
    top_logprobs: Vec<Option<Map<String, Value>>>,
}

impl Logprobs {
    /// As the request wants them, and the server.
    pub(crate) fn new(shown: &Shown, envelope: &Envelope) -> Self {
        Self {
            n_top: shown.n_logprobs,
            chosen: shown.logprob_token_ids.clone(),
            n_prompt: shown.n_prompt_logprobs,
            names_ids: shown.tokens_as_ids.unwrap_or(envelope.config.tokens_as_ids),
            tokenizer: envelope.tokenizer.clone(),
        }
    }

    /// Those of the output's `tokens`, for a chat.
    pub(crate) fn chat(&self, output: &CompletionOutput, tokens: Range<usize>) -> Option<ChatLogprobs> {
        let n_top = self.n_top?;
        let content = tokens.filter_map(|token_idx| {
            let named = self.position(output, token_idx, n_top)?;
            let generated = named.first()?.clone();
            // Of tokens that were chosen, all are told.
            let n_told = if self.chosen.is_empty() { n_top } else { named.len() };
            Some(PositionLogprobs { generated, top_logprobs: named.into_iter().take(n_told).collect() })
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
        let mut logprobs = TextLogprobs::default();
        for token_idx in tokens {
            let named = self.position(output, token_idx, n_top)?;
            logprobs.push(named, offset);
        }
        Some(logprobs)
    }

    /// Those of the output's `tokens` by their ids.
    pub(crate) fn of_ids(&self, output: &CompletionOutput, tokens: Range<usize>) -> Option<Value> {
        let n_top = self.n_top?;
        let positions = tokens.filter_map(|token_idx| {
            let tokens = self.likely(output, token_idx, n_top)?;
            let ranked = tokens.iter().map(|TokenLogprob { id, logprob }| {
                let rank = 1 + tokens.iter().filter(|other| other.logprob > *logprob).count();
                json!({ "token_id": id, "logprob": f64::from(*logprob), "rank": rank })
            });
            let ranked: Vec<_> = ranked.collect();
            let mut position = ranked.first()?.clone();
            position["top_logprobs"] = ranked.into();
            Some(position)
        });
        Some(json!({ "content": positions.collect::<Vec<_>>() }))
    }

    /// Those of the output's `tokens`, for a response: as an event tells them, and as the whole keeps them.
    pub(crate) fn of_response(
        &self,
        output: &CompletionOutput,
        tokens: Range<usize>,
    ) -> Option<(Vec<Value>, Vec<Value>)> {
        let n_top = self.n_top?;
        let positions = tokens.filter_map(|token_idx| {
            let named = self.position(output, token_idx, n_top)?;
            let told = |named: &NamedLogprob| json!({ "token": named.token, "logprob": named.logprob });
            let kept =
                |named: &NamedLogprob| json!({ "token": named.token, "bytes": named.bytes, "logprob": named.logprob });
            let with_top = |one: &dyn Fn(&NamedLogprob) -> Value| {
                let mut position = one(&named[0]);
                position["top_logprobs"] = named.iter().take(n_top).map(one).collect();
                position
            };
            (!named.is_empty()).then(|| (with_top(&told), with_top(&kept)))
        });
        Some(positions.unzip())
    }

    /// Those of a prompt that is echoed, before the answer's own `logprobs`. Nothing came before the first token that
    /// could have made it likely.
    pub(crate) fn with_echo(&self, ids: &[u32], logprobs: Option<TextLogprobs>) -> Option<TextLogprobs> {
        let (n_top, more) = (self.n_top?, logprobs?);
        let (mut echoed, mut offset) = (TextLogprobs::default(), 0);
        for (position, id) in ids.iter().enumerate() {
            let tokens = prompt_logprobs(position, *id, n_top.saturating_sub(1), self.tokenizer.last_id());
            echoed.push(self.named(tokens), &mut offset);
            if position == 0 {
                (echoed.token_logprobs[0], echoed.top_logprobs[0]) = (None, None);
            }
        }
        let TextLogprobs { text_offset, token_logprobs, tokens, top_logprobs } = more;
        echoed.text_offset.extend(text_offset);
        echoed.token_logprobs.extend(token_logprobs);
        echoed.tokens.extend(tokens);
        echoed.top_logprobs.extend(top_logprobs);
        Some(echoed)
    }

    /// `prompt_logprobs`: by token id, with its rank; null at the first position.
    pub(crate) fn of_prompt(&self, ids: &[u32]) -> Option<Vec<Value>> {
        let n_top = self.n_prompt?;
        let position = |(position, id): (usize, &u32)| {
            if position == 0 {
                return Value::Null;
            }
            let tokens = prompt_logprobs(position, *id, n_top.saturating_sub(1), self.tokenizer.last_id());
            let entry = |(rank, TokenLogprob { id, logprob }): (usize, TokenLogprob)| {
                let decoded_token = self.tokenizer.decode(&[id]);
                let entry = json!({ "logprob": logprob, "rank": rank, "decoded_token": decoded_token });
                (id.to_string(), entry)
            };
            Value::Object((1..).zip(tokens).map(entry).collect())
        };
        Some(ids.iter().enumerate().map(position).collect())
    }

    /// The generated token, and others up to `n_top` in all.
    fn position(&self, output: &CompletionOutput, token_idx: usize, n_top: usize) -> Option<Vec<NamedLogprob>> {
        Some(self.named(self.likely(output, token_idx, n_top)?))
    }

    fn likely(&self, output: &CompletionOutput, token_idx: usize, n_top: usize) -> Option<SmallVec<[TokenLogprob; 1]>> {
        let alternatives = match &*self.chosen {
            [] => Alternatives::Likeliest(n_top.saturating_sub(1)),
            chosen => Alternatives::Chosen(chosen),
        };
        output.logprobs(token_idx, alternatives, self.tokenizer.last_id())
    }

    fn named(&self, tokens: SmallVec<[TokenLogprob; 1]>) -> Vec<NamedLogprob> {
        let named = |TokenLogprob { id, logprob }| {
            let text = self.tokenizer.decode(&[id]);
            let token = if self.names_ids { format!("token_id:{id}") } else { text };
            NamedLogprob { bytes: token.clone().into_bytes(), token, logprob: f64::from(logprob) }
        };
        tokens.into_iter().map(named).collect()
    }
}

impl TextLogprobs {
    /// Adds a position.
    fn push(&mut self, named: Vec<NamedLogprob>, offset: &mut usize) {
        let Some(generated) = named.first() else { return };
        self.text_offset.push(std::mem::replace(offset, *offset + generated.token.chars().count()));
        self.token_logprobs.push(Some(generated.logprob));
        self.tokens.push(generated.token.clone());
        let top = named.into_iter().map(|named| (named.token, named.logprob.into()));
        self.top_logprobs.push(Some(top.collect()));
    }
}
