//! What both completion endpoints answer with, in vLLM's order of keys, its nulls present.

pub mod body;
pub mod checks;
mod chunk;
pub mod conversation;
pub mod fields;
mod logprobs;

use rehearsal_engine::{CompletionOutput, Endpoint, StopReason};
use serde::Serialize;
use serde_json::Value;

use crate::generate::{Answer, Envelope, PrefillResult, RequestMetrics, TokenCounts, TopLevel};

pub use body::Shown;
pub use chunk::ChunkWriter;
pub(crate) use chunk::{json, write_number, write_pair};
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
        let TokenCounts { completion_tokens, reasoning_tokens, cached_tokens, created_cache_tokens, .. } = counts;
        let is_chat = envelope.request.endpoint != Endpoint::Completions;
        let multimodal = envelope.multimodal_tokens();
        let shows_reasoning = envelope.config.has_reasoning_parser || reasoning_tokens > 0;
        Self {
            prompt_tokens: envelope.prompt_tokens,
            total_tokens: envelope.prompt_tokens + completion_tokens,
            completion_tokens,
            prompt_tokens_details: envelope.config.prompt_tokens_details.then_some(PromptTokensDetails {
                cached_tokens,
                created_cache_tokens: is_chat.then_some(created_cache_tokens),
                multimodal_tokens: multimodal,
            }),
            completion_tokens_details: (is_chat && shows_reasoning)
                .then_some(CompletionTokensDetails { reasoning_tokens }),
        }
    }

    /// The usage so far of one choice, as it stands in each chunk where that is wanted. Only chats say how much of it was
    /// reasoning.
    pub fn so_far(envelope: &Envelope, completion_tokens: usize) -> String {
        let prompt_tokens = envelope.prompt_tokens;
        let total_tokens = prompt_tokens as usize + completion_tokens;
        let details = match envelope.request.endpoint {
            Endpoint::Completions => "",
            _ => r#","completion_tokens_details":null"#,
        };
        format!(
            r#","usage":{{"prompt_tokens":{prompt_tokens},"total_tokens":{total_tokens},"completion_tokens":{completion_tokens}{details}}}"#
        )
    }
}

/// `stop_reason` on the wire.
pub(crate) fn stop_reason(output: &CompletionOutput) -> Value {
    match output.stop_reason() {
        None => Value::Null,
        Some(StopReason::Text(text)) => text.as_str().into(),
        Some(StopReason::Token(id)) => (*id).into(),
        Some(StopReason::Repetition) => "repetition_detected".into(),
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
    /// Stored in it; text completions do not say.
    pub created_cache_tokens: Option<u32>,
    /// Of images and the like.
    pub multimodal_tokens: Option<u32>,
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
    metrics: Option<RequestMetrics>,
    #[serde(flatten)]
    first_routers: Option<TopLevel>,
}

/// Keys that only a chat answer has.
#[derive(Debug, Default, Serialize)]
pub struct ChatOnly {
    /// By position, where they are wanted.
    pub prompt_logprobs: Option<Vec<Value>>,
    /// Where they are wanted.
    pub prompt_token_ids: Option<Vec<u32>>,
    /// Where it is wanted.
    pub prompt_text: Option<String>,
}

impl<C> Body<C> {
    /// An answer around `choices`.
    pub fn new(object: &'static str, answer: &Answer, choices: Vec<C>, chat_only: Option<ChatOnly>) -> Self {
        let envelope = answer.envelope.clone();
        let (usage, metrics) = (Usage::new(&envelope, answer.counts), envelope.metrics(&answer.counts));
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
            metrics,
            first_routers: envelope.prefill.as_ref().and_then(PrefillResult::top_level),
        }
    }
}
