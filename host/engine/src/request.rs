//! A request as the engine sees it: validated, in range, with its prompt counted. No wire format, no HTTP.

mod prompt;
mod sampling;
mod wishes;

use std::sync::Arc;

use crate::lora::Adapter;
pub use prompt::{ContentPart, Message, Prompt, PromptContent, ToolCall};
pub use sampling::{RepetitionDetection, SamplingParams};
pub use wishes::{OutputFormat, Tool, ToolChoice, Wishes};

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
