//! What both completion endpoints answer with, in vLLM's order of keys, its nulls present.

mod chunk;

use rehearsal_engine::{CompletionOutput, DueTokens, FinishReason, OutputEvent, OutputStream, StrategyError};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

use futures::StreamExt;

use super::models::unix_time;
use crate::app::App;
use crate::transfer::{Form, Here, Leg, PrefillResult, TopLevel, Transfer};

pub use chunk::ChunkWriter;
pub(crate) use chunk::{write_number, write_pair};

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
        model: String,
        prompt_tokens: u32,
        transfer: Option<Transfer>,
        app: &App,
    ) -> Self {
        let here = Here { host: app.reachable_host(), port: app.port(), seed: app.engine.config().seed };
        let answers_first_routers = transfer == Some(Transfer { leg: Leg::Prefill, form: Form::TopLevel });
        Self {
            id: format!("{prefix}{request_id}"),
            created: unix_time(),
            model,
            fingerprint: app.fingerprint.clone(),
            prompt_tokens,
            prefill: PrefillResult::new(transfer, request_id, prompt_tokens, here),
            finish_override: answers_first_routers.then_some(TopLevel::FINISH_REASON),
        }
    }

    /// The finish reason on the wire.
    pub fn finish_reason<'a>(&self, reason: &'a FinishReason) -> &'a str {
        self.finish_override.unwrap_or(reason.as_str())
    }

    /// Token counts of an answer with so many output tokens.
    pub fn usage(&self, completion_tokens: u32) -> Usage {
        Usage {
            prompt_tokens: self.prompt_tokens,
            total_tokens: self.prompt_tokens + completion_tokens,
            completion_tokens,
            prompt_tokens_details: None,
            completion_tokens_details: None,
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
    prompt_tokens_details: Option<()>,
    completion_tokens_details: Option<()>,
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
        completion_tokens: u32,
        choices: Vec<C>,
        chat_only: Option<ChatOnly>,
    ) -> Self {
        let usage = envelope.usage(completion_tokens);
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
pub async fn collect(mut stream: OutputStream, n_choices: u32) -> Result<Vec<Arc<CompletionOutput>>, StrategyError> {
    let mut outputs = vec![None; n_choices as usize];
    let mut is_malformed = false;
    while let Some(event) = stream.next().await {
        match event? {
            OutputEvent::Tokens(DueTokens { choice, output, .. }) => outputs[choice as usize] = Some(output),
            OutputEvent::Malformed => is_malformed = true,
        }
    }
    if is_malformed {
        return Err(StrategyError::Malformed);
    }
    outputs.into_iter().collect::<Option<Vec<_>>>().ok_or(StrategyError::Lost)
}

/// Output tokens of all choices.
pub fn completion_tokens(outputs: &[Arc<CompletionOutput>]) -> u32 {
    outputs.iter().map(|output| output.n_tokens() as u32).sum()
}
