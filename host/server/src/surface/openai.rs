//! What both completion endpoints answer with, in vLLM's order of keys, its nulls present.

pub mod body;
mod chunk;
pub mod conversation;
mod logprobs;

use serde::Serialize;
use serde_json::Value;

use crate::generate::{Answer, Envelope, PrefillResult, TokenCounts, TopLevel};

pub use body::Shown;
pub use chunk::ChunkWriter;
pub(crate) use chunk::{write_number, write_pair};
pub(crate) use logprobs::{ChatLogprobs, Logprobs, TextLogprobs};

/// `usage`
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Usage {
    /// Input.
    pub prompt_tokens: u32,
    /// Both.
    pub total_tokens: u32,
    /// Output of all choices.
    pub completion_tokens: u32,
    /// More of the input.
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// More of the output; only where there is reasoning.
    pub completion_tokens_details: Option<CompletionTokensDetails>,
}

impl Usage {
    /// Token counts of an answer, or of as much of it as was sent.
    pub fn new(envelope: &Envelope, counts: TokenCounts) -> Self {
        let TokenCounts { completion_tokens, reasoning_tokens, cached_tokens } = counts;
        Self {
            prompt_tokens: envelope.prompt_tokens,
            total_tokens: envelope.prompt_tokens + completion_tokens,
            completion_tokens,
            prompt_tokens_details: envelope.config.prompt_tokens_details.then_some(PromptTokensDetails {
                cached_tokens,
                created_cache_tokens: 0,
                multimodal_tokens: None,
            }),
            completion_tokens_details: (reasoning_tokens > 0).then_some(CompletionTokensDetails { reasoning_tokens }),
        }
    }
}

/// `usage.completion_tokens_details`
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CompletionTokensDetails {
    /// Tokens of reasoning.
    pub reasoning_tokens: u32,
}

/// `usage.prompt_tokens_details`
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PromptTokensDetails {
    /// Found in the KV cache.
    pub cached_tokens: u32,
    created_cache_tokens: u32,
    multimodal_tokens: Option<()>,
}

/// The body of an answer in one piece. `service_tier` and what follows it stand in vLLM's order.
#[derive(Debug, Serialize)]
pub struct Body<C> {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<C>,
    service_tier: Option<()>,
    system_fingerprint: String,
    usage: Usage,
    #[serde(flatten)]
    chat_only: Option<ChatOnly>,
    kv_transfer_params: Option<Value>,
    ec_transfer_params: Option<()>,
    metrics: Option<()>,
    #[serde(flatten)]
    first_routers: Option<TopLevel>,
}

/// Keys that only a chat answer has.
#[derive(Debug, Default, Serialize)]
pub struct ChatOnly {
    prompt_logprobs: Option<()>,
    prompt_token_ids: Option<()>,
    prompt_text: Option<()>,
}

impl<C> Body<C> {
    /// An answer around `choices`.
    pub fn new(object: &'static str, answer: &Answer, choices: Vec<C>, chat_only: Option<ChatOnly>) -> Self {
        let envelope = answer.envelope.clone();
        let usage = Usage::new(&envelope, answer.counts);
        Self {
            id: envelope.id,
            object,
            created: envelope.created,
            model: envelope.request.model.clone(),
            choices,
            service_tier: None,
            system_fingerprint: envelope.fingerprint,
            usage,
            chat_only,
            kv_transfer_params: envelope.prefill.as_ref().and_then(PrefillResult::kv_transfer_params),
            ec_transfer_params: None,
            metrics: None,
            first_routers: envelope.prefill.as_ref().and_then(PrefillResult::top_level),
        }
    }
}
