//! What an output is made of: texts and calls, each with where its tokens end.

/// One call of a tool. Its name is one token, its arguments are as many as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputCall {
    /// On the wire.
    pub id: String,
    /// The function's.
    pub name: String,
    /// JSON text of an object; cut where the output reached its limit.
    pub arguments: String,
    pub(super) ends: Vec<u32>,
}

/// Text, and where each of its tokens ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputText {
    pub(super) text: String,
    pub(super) ends: Vec<u32>,
}

/// What an output is made of, in the order of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// What the model thinks before it answers.
    Reasoning(OutputText),
    /// The answer.
    Content(OutputText),
    /// A call of a tool that was offered.
    Call(OutputCall),
}

impl Part {
    pub(super) fn n_tokens(&self) -> usize {
        match self {
            Self::Reasoning(text) | Self::Content(text) => text.ends.len(),
            Self::Call(call) => 1 + call.ends.len(),
        }
    }

    /// Keeps the first `n_tokens`, at least one.
    pub(super) fn truncate(&mut self, n_tokens: usize) {
        let (text, ends, n_tokens) = match self {
            Self::Reasoning(OutputText { text, ends }) | Self::Content(OutputText { text, ends }) => {
                (text, ends, n_tokens)
            }
            Self::Call(OutputCall { arguments, ends, .. }) => (arguments, ends, n_tokens - 1),
        };
        ends.truncate(n_tokens);
        text.truncate(ends.last().map_or(0, |end| *end as usize));
    }
}
