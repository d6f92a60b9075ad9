//! What is to be answered: a conversation, a text or token ids.

/// A prompt and its tokens of the served model.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What the client sent.
    pub content: PromptContent,
    /// Less than the context window: a prompt that fills it was refused.
    pub n_tokens: u32,
    /// As many ids; none if they were only counted, which will do where no KV cache is simulated.
    pub token_ids: Vec<u32>,
}

impl Prompt {
    /// One whose tokens were counted.
    pub fn counted(content: PromptContent, n_tokens: u32) -> Self {
        Self { content, n_tokens, token_ids: Vec::new() }
    }

    /// One whose tokens are known.
    pub fn encoded(content: PromptContent, token_ids: Vec<u32>) -> Self {
        Self { content, n_tokens: token_ids.len() as u32, token_ids }
    }

    /// How many of its tokens stand for each image, sound or film.
    pub fn media_tokens(&self) -> impl Iterator<Item = u32> {
        let messages = match &self.content {
            PromptContent::Chat(messages) => &messages[..],
            PromptContent::Text(_) | PromptContent::TokenIds(_) => &[],
        };
        messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            ContentPart::Media { n_tokens, .. } => Some(*n_tokens),
            ContentPart::Text(_) | ContentPart::Other { .. } => None,
        })
    }
}

/// What the client sent as its prompt.
#[derive(Debug, Clone)]
pub enum PromptContent {
    /// A conversation, oldest message first.
    Chat(Vec<Message>),
    /// Plain text.
    Text(String),
    /// Token ids of the served model.
    TokenIds(Vec<u32>),
}

/// One message of a conversation.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, … as the client wrote it: vLLM passes any role.
    pub role: String,
    /// The speaker's name, where several share a role.
    pub name: Option<String>,
    /// The content in order.
    pub parts: Vec<ContentPart>,
    /// Calls that an assistant message made.
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool message answers.
    pub tool_call_id: Option<String>,
    /// What an assistant message says that it was thought before. Chat templates show it, strategies do not get it.
    pub reasoning: Option<String>,
}

impl Message {
    /// A message of one text.
    pub fn text(role: &str, text: impl Into<String>) -> Self {
        Self { role: role.into(), parts: vec![ContentPart::Text(text.into())], ..Self::default() }
    }

    /// What a user says.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text("user", text)
    }

    /// The text parts, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            ContentPart::Text(text) => Some(text.as_str()),
            ContentPart::Media { .. } | ContentPart::Other { .. } => None,
        })
    }
}

/// A part of a message's content.
#[derive(Debug, Clone)]
pub enum ContentPart {
    /// Text.
    Text(String),
    /// An image, a sound or a film.
    Media {
        /// `image_url`, `input_audio`, …
        kind: String,
        /// Prompt tokens that stand for it.
        n_tokens: u32,
        /// Of what the client sent: equal media have equal ones.
        digest: u64,
    },
    /// Anything else, by its `type`; it costs no prompt tokens.
    Other {
        /// `file`, `refusal`, …
        kind: String,
        /// The part as JSON text.
        json: String,
    },
}

/// A function call in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id on the wire.
    pub id: Option<String>,
    /// The function's name.
    pub name: String,
    /// JSON text, as the client sent it.
    pub arguments: String,
}
