//! What a client wants answered, before anything is known of its tokens.

use super::conversation::Conversation;

/// What is to be answered.
#[derive(Debug, Clone)]
pub enum Input {
    /// A conversation.
    Conversation(Box<Conversation>),
    /// At least one prompt; each makes `n` choices.
    Prompts(Vec<PromptInput>),
}

/// One prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptInput {
    /// Text.
    Text(String),
    /// Token ids; of any size, until they are checked against the vocabulary.
    TokenIds(Vec<i64>),
    /// So many of them that they came as what they are.
    ManyTokenIds(Vec<u32>),
}
