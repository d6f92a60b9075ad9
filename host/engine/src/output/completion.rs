//! What a strategy returns: its contract, before the engine cuts it.

use super::logprobs::GivenLogprob;
use super::timing::Timing;
use crate::request::ToolCall;
use crate::tokenizer::{Encoded, Tokenizer};

/// What a strategy returns.
#[derive(Debug, Clone, Default)]
pub struct Completion {
    /// What the model thinks before it answers.
    pub reasoning: Option<Content>,
    /// The output; none is an empty one.
    pub content: Option<Content>,
    /// The length that the strategy chose: the content is cut there.
    pub token_limit: Option<u32>,
    /// Calls of the tools that the client offered, after the content.
    pub tool_calls: Vec<ToolCall>,
    /// None: `tool_calls` if there are any, `length` if the output reached the limit, else `stop`.
    pub finish: Option<FinishReason>,
    /// When its tokens fall due; `None`: as the latency model says.
    pub timing: Option<Box<Timing>>,
    /// How likely its tokens were, by their place in the output; those that are left out have it made up.
    pub logprobs: Vec<Option<GivenLogprob>>,
}

/// What a model writes around its reasoning, as Qwen's and DeepSeek's do.
const TAGS: [&str; 2] = ["<think>\n", "\n</think>\n\n"];

impl Completion {
    /// The same output with its reasoning in its content, where no parser would have told them apart.
    pub(crate) fn with_reasoning_in_content(self, tokenizer: &dyn Tokenizer) -> Result<Self, String> {
        let Some(reasoning) = self.reasoning else { return Ok(self) };
        let whole = |content| Tokens::new(content, usize::MAX, tokenizer, false);
        let [before, after] = TAGS.map(|tag| whole(Content::Text(tag.into())));
        let (mut all, reasoning, after) = (before?, whole(reasoning)?, after?);
        let lengths = [&all, &reasoning, &after].map(Tokens::len);
        let timing = self.timing.map(|timing| Box::new(timing.of_merged(lengths[0], lengths[1], lengths[2])));
        let [n_before, n_reasoning, n_after] = lengths;
        let logprobs = between(n_before, self.logprobs, n_reasoning, n_after);
        all.append(reasoning);
        all.append(after);
        let n_thought = all.len() as u32;
        if let Some(content) = self.content {
            all.append(whole(content)?);
        }
        let content = Content::Split { text: all.text, ends: all.ends };
        let token_limit = self.token_limit.map(|limit| limit.saturating_add(n_thought));
        Ok(Self { reasoning: None, content: Some(content), token_limit, timing, logprobs, ..self })
    }
}

/// The same with nothing said of tokens that come before all, and after the first `n` of them.
fn between<T>(n_before: usize, mut said: Vec<Option<T>>, n: usize, n_after: usize) -> Vec<Option<T>> {
    if said.is_empty() {
        return said;
    }
    let rest = said.split_off(n.min(said.len()));
    let nothing = |n: usize| std::iter::repeat_with(|| None).take(n);
    let missing = n - said.len();
    nothing(n_before).chain(said).chain(nothing(missing + n_after)).chain(rest).collect()
}

/// Output in any of the forms that a strategy may find easiest.
#[derive(Debug, Clone)]
pub enum Content {
    /// The engine splits it.
    Text(String),
    /// Already split: token `i` ends at byte `ends[i]` and begins where the one before ended.
    Split {
        /// All tokens, joined.
        text: String,
        /// Never falling, on character boundaries, the last one the length of `text`.
        ends: Vec<u32>,
    },
    /// The engine decodes them.
    TokenIds(Vec<u32>),
}

impl Content {
    /// Fails, with the value, if its own split breaks the contract.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Split { text, ends } => check_ends(text, ends),
            Self::Text(_) | Self::TokenIds(_) => Ok(()),
        }
    }

    /// Bytes of text that are still to be tokenized.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Split { .. } => 0,
            Self::TokenIds(ids) => size_of_val(&**ids),
        }
    }
}

/// Content as tokens: text that is cut only between them.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) text: String,
    /// Where each token ends.
    pub(super) ends: Vec<u32>,
    /// As many, or none where they are not asked for.
    pub(super) ids: Vec<u32>,
}

impl Tokens {
    /// Adds what follows.
    fn append(&mut self, more: Self) {
        let start = self.text.len() as u32;
        self.text.push_str(&more.text);
        self.ends.extend(more.ends.into_iter().map(|end| start + end));
    }

    /// Splits `content`, of which more than `most` tokens may be left out if they are many more. Fails, with the value,
    /// if its own split breaks the contract.
    pub(super) fn new(
        content: Content,
        most: usize,
        tokenizer: &dyn Tokenizer,
        wants_ids: bool,
    ) -> Result<Self, String> {
        Ok(match content {
            Content::Text(mut text) => {
                text.truncate(tokenizer.beginning(&text, most.saturating_add(NEARBY)).len());
                Self::split(text, tokenizer, wants_ids)
            }
            Content::Split { text, ends } => {
                check_ends(&text, &ends)?;
                let mut tokens = Self { text, ends, ids: Vec::new() };
                if wants_ids {
                    tokens.ids = (0..tokens.ends.len())
                        .map(|at| tokenizer.id_of_piece(token(&tokens.text, &tokens.ends, at)))
                        .collect();
                }
                tokens
            }
            Content::TokenIds(ids) => {
                let (text, ends) = tokenizer.decode_split(&ids);
                Self { text, ends, ids: if wants_ids { ids } else { Vec::new() } }
            }
        })
    }

    pub(super) fn split(text: String, tokenizer: &dyn Tokenizer, wants_ids: bool) -> Self {
        if !wants_ids {
            let ends = tokenizer.split(&text);
            return Self { text, ends, ids: Vec::new() };
        }
        let Encoded { ids, ends } = tokenizer.encode_split(&text);
        Self { text, ends, ids }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Keeps the first `n_tokens`.
    pub(super) fn truncate(&mut self, n_tokens: usize) {
        if self.len() > n_tokens {
            self.ends.truncate(n_tokens);
            self.ids.truncate(n_tokens);
            self.text.truncate(self.ends.last().map_or(0, |end| *end as usize));
        }
    }

    /// Keeps about the first `n_tokens`: as much as has exactly that many when it is tokenized again, which is what a
    /// client does that checks a length. Where the cut falls between characters that belong together, that is a little
    /// more or less than the first `n_tokens` themselves; and where it falls inside a character, so that no beginning of
    /// the text has that length, a word of it stands in for the rest.
    pub(super) fn truncate_to_count(&mut self, n_tokens: usize, tokenizer: &dyn Tokenizer) {
        if self.len() <= n_tokens {
            return;
        }
        if tokenizer.cuts_cleanly() {
            return self.truncate(n_tokens);
        }
        let has_length = |text: String| {
            let Encoded { ids, ends } = tokenizer.encode_split(&text);
            (ids.len() == n_tokens).then_some(Self { text, ends, ids })
        };
        let Some(fitting) = self.beginnings(n_tokens).find_map(has_length) else { return self.truncate(n_tokens) };
        let wants_ids = !self.ids.is_empty();
        *self = if wants_ids { fitting } else { Self { ids: Vec::new(), ..fitting } };
    }

    /// Texts that may have `n_tokens` tokens, the likeliest first.
    fn beginnings(&self, n_tokens: usize) -> impl Iterator<Item = String> {
        let up_to = move |n_tokens: usize| {
            n_tokens.checked_sub(1).and_then(|last| self.ends.get(last)).map(|end| *end as usize)
        };
        let nearby = (0..=NEARBY).flat_map(move |step| [n_tokens.checked_add(step), n_tokens.checked_sub(step)]);
        let cuts = nearby.flatten().filter_map(up_to).map(|end| self.text[..end].to_owned());
        let is_word = |piece: &&str| {
            piece
                .strip_prefix(' ')
                .is_some_and(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        };
        let word = (0..self.len()).map(|at| token(&self.text, &self.ends, at)).find(is_word);
        let with_words = word.into_iter().flat_map(move |word| {
            (1..=NEARBY.min(n_tokens)).flat_map(move |fewer| {
                let end = up_to(n_tokens - fewer).unwrap_or(0);
                (1..=fewer).rev().map(move |times| self.text[..end].to_owned() + &word.repeat(times))
            })
        });
        cuts.chain(with_words)
    }
}

/// How many tokens away from a wanted cut one is looked for that stays a cut.
const NEARBY: usize = 8;

/// The text of one token.
pub(super) fn token<'a>(text: &'a str, ends: &[u32], token_idx: usize) -> &'a str {
    let start = token_idx.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &text[start..ends[token_idx] as usize]
}

fn check_ends(text: &str, ends: &[u32]) -> Result<(), String> {
    let mut before = 0;
    for (index, &end) in ends.iter().enumerate() {
        if end < before {
            return Err(format!("ends[{index}] = {end} is less than ends[{}] = {before}", index - 1));
        }
        if end as usize > text.len() {
            return Err(format!("ends[{index}] = {end} is past the text's {} bytes", text.len()));
        }
        if !text.is_char_boundary(end as usize) {
            return Err(format!("ends[{index}] = {end} is not on a character boundary"));
        }
        before = end;
    }
    if before as usize != text.len() {
        return Err(format!("the last of {} ends is {before}, but the text has {} bytes", ends.len(), text.len()));
    }
    Ok(())
}

/// Why an output ended, as on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// It was complete, or a stop string was found.
    Stop,
    /// It reached `max_tokens` or the context window.
    Length,
    /// It calls tools.
    ToolCalls,
    /// A filter cut it.
    ContentFilter,
    /// It repeated itself.
    Repetition,
    /// It was ended from outside, while the server went to sleep.
    Abort,
    /// Whatever a strategy says.
    Other(String),
}

impl FinishReason {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Repetition => "repetition",
            Self::Abort => "abort",
            Self::Other(reason) => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_that_break_the_contract_are_refused_with_the_value() {
        let judge = |text: &str, ends: &[u32]| check_ends(text, ends).unwrap_err();
        assert_eq!(judge("né", &[2, 3]), "ends[0] = 2 is not on a character boundary");
        assert_eq!(judge("no", &[2, 1]), "ends[1] = 1 is less than ends[0] = 2");
        assert_eq!(judge("no", &[3]), "ends[0] = 3 is past the text's 2 bytes");
        assert_eq!(judge("no", &[1]), "the last of 1 ends is 1, but the text has 2 bytes");
        assert_eq!(judge("no", &[]), "the last of 0 ends is 0, but the text has 2 bytes");
        assert_eq!(check_ends("", &[]), Ok(()));
    }
}
