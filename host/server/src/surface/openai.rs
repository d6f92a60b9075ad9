//! What both completion endpoints answer with, in vLLM's order of keys, its nulls present.

pub mod body;
mod chunk;
mod logprobs;
mod streaming;

use rehearsal_engine::{
    CompletionOutput, DueTokens, FinishReason, GenerationRequest, OutputEvent, OutputStream, StrategyError,
};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

use futures::StreamExt;

use crate::generate::transfer::{Form, Here, Leg, PrefillResult, TopLevel, Transfer};
use crate::replica::Replica;

pub use chunk::ChunkWriter;
pub(crate) use chunk::{write_number, write_pair};
pub(crate) use logprobs::{ChatLogprobs, Logprobs, TextLogprobs};
pub(crate) use streaming::{Run, Streaming};

/// Facts of one answer that all of its chunks and bodies share.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// With its prefix.
    pub id: String,
    /// Seconds since 1970, when the request was accepted.
    pub created: u64,
    /// The reported name, or the adapter's.
    pub model: String,
    /// `system_fingerprint`
    pub fingerprint: String,
    /// Of all prompts, each counted once.
    pub prompt_tokens: u32,
    /// Choices for each prompt.
    n: u32,
    /// Say how many prompt tokens were cached.
    has_prompt_details: bool,
    /// What a prefill leg is answered with.
    pub prefill: Option<PrefillResult>,
    /// The finish reason of a prefill leg in the first routers' form.
    finish_override: Option<&'static str>,
}

impl Envelope {
    /// The envelope of a request that was accepted under `request_id`.
    pub fn new(
        prefix: &str,
        request_id: &str,
        facts: RequestFacts,
        transfer: Option<Transfer>,
        replica: &Replica,
    ) -> Self {
        let RequestFacts { model, prompt_tokens, n } = facts;
        let here = Here { host: replica.reachable_host(), port: replica.port(), seed: replica.engine.config().seed };
        let answers_first_routers = transfer == Some(Transfer { leg: Leg::Prefill, form: Form::TopLevel });
        Self {
            id: format!("{prefix}{request_id}"),
            created: replica.clock.unix_time().as_secs(),
            model,
            fingerprint: replica.fingerprint.clone(),
            prompt_tokens,
            n,
            has_prompt_details: replica.answers.prompt_tokens_details,
            prefill: PrefillResult::new(transfer, request_id, prompt_tokens, here),
            finish_override: answers_first_routers.then_some(TopLevel::FINISH_REASON),
        }
    }

    /// The finish reason on the wire.
    pub fn finish_reason<'a>(&self, reason: &'a FinishReason) -> &'a str {
        self.finish_override.unwrap_or(reason.as_str())
    }

    /// Token counts of an answer.
    pub fn usage(&self, counts: TokenCounts) -> Usage {
        let TokenCounts { completion_tokens, reasoning_tokens, cached_tokens } = counts;
        Usage {
            prompt_tokens: self.prompt_tokens,
            total_tokens: self.prompt_tokens + completion_tokens,
            completion_tokens,
            prompt_tokens_details: self.has_prompt_details.then_some(PromptTokensDetails {
                cached_tokens,
                created_cache_tokens: 0,
                multimodal_tokens: None,
            }),
            completion_tokens_details: (reasoning_tokens > 0).then_some(CompletionTokensDetails { reasoning_tokens }),
        }
    }
}

/// What an envelope has to know of a request that the engine takes away.
#[derive(Debug, Clone)]
pub struct RequestFacts {
    model: String,
    prompt_tokens: u32,
    n: u32,
}

impl RequestFacts {
    /// Those of `request`.
    pub fn of(request: &GenerationRequest) -> Self {
        Self {
            model: request.model.clone(),
            prompt_tokens: request.prompts.iter().map(|prompt| prompt.n_tokens).sum(),
            n: request.sampling.n,
        }
    }
}

/// Tokens of one answer, as far as they fell due.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenCounts {
    completion_tokens: u32,
    /// Those of them that are reasoning.
    reasoning_tokens: u32,
    /// Each prompt's once, like `prompt_tokens`: those that its first choice found.
    cached_tokens: u32,
}

impl TokenCounts {
    /// Counts what fell due.
    pub fn add(&mut self, due: &DueTokens, envelope: &Envelope) {
        self.completion_tokens += due.tokens.len() as u32;
        let reasoning = due.output.n_reasoning_tokens();
        self.reasoning_tokens += due.tokens.end.min(reasoning).saturating_sub(due.tokens.start) as u32;
        if due.tokens.start == 0 && due.choice.is_multiple_of(envelope.n) {
            self.cached_tokens += due.cached_tokens;
        }
    }
}

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
pub struct Answer<C> {
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

impl<C> Answer<C> {
    /// An answer around `choices`.
    pub fn new(
        object: &'static str,
        envelope: Envelope,
        counts: TokenCounts,
        choices: Vec<C>,
        chat_only: Option<ChatOnly>,
    ) -> Self {
        let usage = envelope.usage(counts);
        Self {
            id: envelope.id,
            object,
            created: envelope.created,
            model: envelope.model,
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

/// Waits for the end of every choice; their outputs come in the order of their indices.
pub async fn collect(
    mut stream: OutputStream,
    n_choices: u32,
    envelope: &Envelope,
) -> Result<(Vec<Arc<CompletionOutput>>, TokenCounts), StrategyError> {
    let mut outputs = vec![None; n_choices as usize];
    stream.read_at_end();
    let mut counts = TokenCounts::default();
    let mut is_malformed = false;
    while let Some(event) = stream.next().await {
        match event? {
            OutputEvent::Tokens(due) => {
                counts.add(&due, envelope);
                outputs[due.choice as usize] = Some(due.output);
            }
            OutputEvent::Malformed => is_malformed = true,
        }
    }
    if is_malformed {
        return Err(StrategyError::Malformed);
    }
    let outputs = outputs.into_iter().collect::<Option<Vec<_>>>().ok_or(StrategyError::Lost)?;
    Ok((outputs, counts))
}
