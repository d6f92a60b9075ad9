//! What a strategy returns: its contract, before the engine cuts it.

use crate::request::ToolCall;
use crate::tokenizer::Tokenizer;

/// What a strategy returns.
#[derive(Debug, Clone, Default)]
pub struct Completion {
    /// The output; none is an empty one.
    pub content: Option<Content>,
    /// The length that the strategy chose: the content is cut there.
    pub token_limit: Option<u32>,
    /// Calls of the tools that the client offered, after the content.
    pub tool_calls: Vec<ToolCall>,
    /// None: `tool_calls` if there are any, `length` if the output reached the limit, else `stop`.
    pub finish: Option<FinishReason>,
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
    /// The text and where each of its tokens ends. Fails, with the value, if the split breaks the contract.
    pub(super) fn split(self, tokenizer: &dyn Tokenizer) -> Result<(String, Vec<u32>), String> {
        match self {
            Self::Text(text) => {
                let ends = tokenizer.split(&text);
                Ok((text, ends))
            }
            Self::Split { text, ends } => {
                check_ends(&text, &ends)?;
                Ok((text, ends))
            }
            Self::TokenIds(ids) => Ok(tokenizer.decode_split(&ids)),
        }
    }
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
