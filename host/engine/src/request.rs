//! A request as the engine sees it: validated, in range, with its prompt counted. No wire format, no HTTP.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::lora::Adapter;

/// The endpoint that a request came in on. Strategies may answer differently by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/messages`
    Messages,
    /// `POST /inference/v1/generate`
    Generate,
}

/// Counts accepted requests from 0, since the start.
pub type RequestNumber = u64;

/// One HTTP request's worth of generation: `prompts.len() * sampling.n` choices.
#[derive(Debug, Clone)]
pub struct GenerationRequest {
    /// Suffix of the ids on the wire, if the client chose one; else the engine makes one from its seed.
    pub id: Option<String>,
    /// What comes before it there.
    pub id_prefix: &'static str,
    /// Where the request came in.
    pub endpoint: Endpoint,
    /// The served name that the answer will carry.
    pub model: String,
    /// The adapter that the client asked for by its name.
    pub adapter: Option<Arc<Adapter>>,
    /// At least one. Only completions may have several.
    pub prompts: Vec<Prompt>,
    /// How to sample, as vLLM names it.
    pub sampling: SamplingParams,
    /// Where the engine's policy goes by priority, a lower one is scheduled first.
    pub priority: i64,
    /// Whether the client asked for a stream. Timing does not depend on it; strategies may.
    pub streaming: bool,
    /// The prompt was prefilled elsewhere and its KV cache is transferred: transfer latency replaces TTFT.
    pub remote_prefill: bool,
    /// The answer tells ids of its tokens, or something that follows from them: they are to be kept.
    pub wants_token_ids: bool,
    /// Keeps its KV cache apart from that of requests with another salt, or none.
    pub cache_salt: Option<Arc<str>>,
    /// Reasoning is told apart from content; else it stands in it, between the model's tags.
    pub separates_reasoning: bool,
    /// What the client offered and asked for beyond text.
    pub wishes: Wishes,
    /// Request headers that some plugin wants to see, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as the client sent it, if some plugin wants to see it.
    pub raw_body: Option<String>,
    /// By it the request is found again in reports.
    pub tag: Option<u64>,
    /// What traces tell of it and nothing else needs; `None` if it is not traced.
    pub traced: Option<Box<Traced>>,
}

impl GenerationRequest {
    /// A request for one answer to `prompt` and nothing special: what tools and tests start from.
    pub fn new(endpoint: Endpoint, prompt: Prompt) -> Self {
        Self {
            id: None,
            id_prefix: "",
            endpoint,
            model: "my-model".into(),
            adapter: None,
            prompts: vec![prompt],
            sampling: SamplingParams::default(),
            priority: 0,
            streaming: false,
            remote_prefill: false,
            wants_token_ids: false,
            cache_salt: None,
            separates_reasoning: true,
            wishes: Wishes::default(),
            headers: Vec::new(),
            raw_body: None,
            tag: None,
            traced: None,
        }
    }

    /// Whether outputs must have the ids of their tokens: the answer tells them, or they may end it.
    pub fn needs_output_ids(&self) -> bool {
        let sampling = &self.sampling;
        self.wants_token_ids || !sampling.stop_token_ids.is_empty() || sampling.repetition_detection.is_some()
    }

    /// How many choices, and so sequences, the request makes.
    pub fn n_choices(&self) -> u32 {
        // Both factors are bounded by validation (1,024 prompts, n up to 16,384).
        self.prompts.len() as u32 * self.sampling.n
    }
}

/// What traces tell of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Traced {
    /// The client's span, as W3C's header has it.
    pub traceparent: Option<String>,
    /// Of its trace, likewise.
    pub tracestate: Option<String>,
    /// How random the answer was to be; 0: not at all.
    pub temperature: f64,
    /// The share of likeliest tokens that might be drawn.
    pub top_p: f64,
}

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
}

impl Prompt {
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

/// vLLM's sampling parameters, as far as they shape a simulated answer.
#[derive(Debug, Clone)]
pub struct SamplingParams {
    /// Choices per prompt, at least 1.
    pub n: u32,
    /// What the client asked for; 0 only where it wants nothing but its prompt back. None: as much as the context
    /// window leaves.
    pub max_tokens: Option<u32>,
    /// Strategies pad to it; stop strings do not count before it is reached.
    pub min_tokens: u32,
    /// Generate to the limit instead of ending when the answer does.
    pub ignore_eos: bool,
    /// Strings that end the output, none of them empty.
    pub stop: Vec<String>,
    /// Tokens that end the output.
    pub stop_token_ids: Vec<u32>,
    /// End an output that repeats itself.
    pub repetition_detection: Option<RepetitionDetection>,
    /// Keep the stop string in the output.
    pub include_stop_str_in_output: bool,
    /// Makes the answer independent of all other requests.
    pub seed: Option<i64>,
}

/// When an output repeats itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepetitionDetection {
    /// Tokens of what is repeated, at least 1.
    pub pattern_sizes: RangeInclusive<usize>,
    /// How often it must come, one right after the other; at least 2.
    pub min_count: usize,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            n: 1,
            max_tokens: None,
            min_tokens: 0,
            ignore_eos: false,
            stop: Vec::new(),
            stop_token_ids: Vec::new(),
            repetition_detection: None,
            include_stop_str_in_output: false,
            seed: None,
        }
    }
}

/// What a client offers (tools) and asks for (format, reasoning) beyond plain text.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it may or must call.
    pub tool_choice: ToolChoice,
    /// False: at most one call.
    pub parallel_tool_calls: bool,
    /// What the content must look like.
    pub format: OutputFormat,
    /// `low`, `medium`, `high`, …
    pub reasoning_effort: Option<String>,
}

/// A function that the model may call.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The function's name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments, as JSON text.
    pub parameters: String,
}

/// OpenAI's `tool_choice`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// No calls.
    #[default]
    None,
    /// The model decides.
    Auto,
    /// At least one call.
    Required,
    /// This function.
    Function(String),
}

/// `response_format` and `structured_outputs`.
#[derive(Debug, Clone, Default)]
pub enum OutputFormat {
    /// Any text.
    #[default]
    Free,
    /// Any JSON object.
    JsonObject,
    /// JSON that this schema admits, as JSON text.
    JsonSchema(String),
    /// One of these strings.
    Choice(Vec<String>),
    /// Text that this expression matches.
    Regex(String),
    /// Kind and text of anything else.
    Other(String, String),
}
