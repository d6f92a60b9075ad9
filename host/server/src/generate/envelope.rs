//! What every form of an answer tells of its request, and how its tokens are counted.

use std::sync::Arc;

use rehearsal_engine::{
    CompletionOutput, DueTokens, FinishReason, GenerationRequest, OutputStream, Prompt, SequenceHistory, Tokenizer,
};

use serde_json::Value;
use tracing::warn;

use super::request_metrics::RequestMetrics;
use super::transfer::{Form, Here, Leg, PrefillResult, TopLevel, Transfer};
use super::validate::Format;
use crate::config::AnswersConfig;
use crate::replica::Replica;

/// What all events and bodies of one answer share.
#[derive(Clone)]
pub struct Envelope {
    /// With its prefix.
    pub id: String,
    /// Seconds since 1970, when the request was accepted.
    pub created: u64,
    /// `system_fingerprint`
    pub fingerprint: String,
    /// What is answered.
    pub request: Arc<GenerationRequest>,
    /// Of all prompts, each counted once.
    pub prompt_tokens: u32,
    /// The most output tokens of a choice: what the client asked for, or what the window leaves if that is less.
    pub max_output_tokens: u32,
    /// What the server puts into answers.
    pub config: Arc<AnswersConfig>,
    /// Tokens of a block of the KV cache, where one is simulated and reused.
    block_size: Option<u32>,
    /// The served model's.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// What answers must look like.
    format: Option<Arc<Format>>,
    /// What a prefill leg is answered with.
    pub prefill: Option<PrefillResult>,
    /// The finish reason of a prefill leg in the first routers' form.
    finish_override: Option<&'static str>,
}

impl Envelope {
    /// The envelope of a request that was accepted.
    pub(super) fn new(
        id: String,
        output: &OutputStream,
        transfer: Option<Transfer>,
        format: Option<Format>,
        replica: &Replica,
    ) -> Self {
        let (request, request_id) = (output.request().clone(), output.request_id());
        let prompt_tokens = request.prompts.iter().map(|prompt| prompt.n_tokens).sum();
        let left = replica.engine.config().most_output_tokens(request.prompts[0].n_tokens);
        let here = Here { host: replica.reachable_host(), port: replica.port(), seed: replica.engine.config().seed };
        let answers_first_routers = transfer == Some(Transfer { leg: Leg::Prefill, form: Form::TopLevel });
        Self {
            id,
            created: replica.clock.unix_time().as_secs(),
            fingerprint: replica.fingerprint.clone(),
            prompt_tokens,
            max_output_tokens: request.sampling.max_tokens.unwrap_or(left).min(left),
            config: replica.answers.clone(),
            block_size: replica
                .engine
                .config()
                .kv_cache
                .as_ref()
                .filter(|_| replica.engine.config().reuses_prefixes())
                .map(|kv_cache| kv_cache.block_size),
            tokenizer: replica.prompts.tokenizer().clone(),
            format: format.map(Arc::new),
            prefill: PrefillResult::new(transfer, request_id, prompt_tokens, here),
            finish_override: answers_first_routers.then_some(TopLevel::FINISH_REASON),
            request,
        }
    }

    /// `metrics`, if the server tells them, and of one choice alone: several have no moments in common.
    pub fn metrics(&self, counts: &TokenCounts) -> Option<RequestMetrics> {
        let are_told = self.config.per_request_metrics && self.request.n_choices() == 1;
        are_told.then(|| RequestMetrics::new(&counts.history))
    }

    /// What a prefill leg hands on, in vLLM's form.
    pub fn kv_transfer_params(&self) -> Option<Value> {
        self.prefill.as_ref()?.kv_transfer_params()
    }

    /// Says so in the log if a strategy's answer lacks the format that was asked for. One that was cut, or that calls tools,
    /// need not have it.
    fn check_format(&self, output: &CompletionOutput) {
        let Some(format) = &self.format else { return };
        let is_whole = output.finish_reason() == &FinishReason::Stop && output.tool_calls().next().is_none();
        if is_whole && output.stop_reason().is_none() && !format.admits(output.text()) {
            warn!(id = self.id, "the strategy's answer does not have the format that the request asks for");
        }
    }

    /// Prompt tokens of images and the like; `None` if there are none.
    pub fn multimodal_tokens(&self) -> Option<u32> {
        let parts = self.request.prompts.iter().flat_map(|prompt| prompt.media_tokens());
        Some(parts.sum()).filter(|n_tokens| *n_tokens > 0)
    }

    /// The prompt that a choice answers.
    pub fn prompt(&self, choice: u32) -> &Prompt {
        &self.request.prompts[(choice / self.request.sampling.n) as usize]
    }

    /// The finish reason on the wire.
    pub fn finish_reason<'a>(&self, reason: &'a FinishReason) -> &'a str {
        self.finish_override.unwrap_or(reason.as_str())
    }
}

/// A whole answer.
pub struct Answer {
    /// What it is about.
    pub envelope: Envelope,
    /// One for each choice, in the order of their indices.
    pub outputs: Vec<Arc<CompletionOutput>>,
    /// All of their tokens.
    pub counts: TokenCounts,
}

/// Tokens of one answer, and what is known of them, as far as they fell due.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenCounts {
    /// Output.
    pub completion_tokens: u32,
    /// Those of them that are reasoning.
    pub reasoning_tokens: u32,
    /// Each prompt's once, like its length: those that its first choice found.
    pub cached_tokens: u32,
    /// Likewise, those that were stored: of full blocks, and not found.
    pub created_cache_tokens: u32,
    /// How the choice came here whose tokens fell due last.
    pub history: SequenceHistory,
}

impl TokenCounts {
    /// Counts what fell due of an answer.
    pub fn add(&mut self, due: &DueTokens, envelope: &Envelope) {
        self.completion_tokens += due.tokens.len() as u32;
        self.history = due.history;
        if due.is_last() {
            envelope.check_format(&due.output);
        }
        let reasoning = due.output.n_reasoning_tokens();
        self.reasoning_tokens += due.tokens.end.min(reasoning).saturating_sub(due.tokens.start) as u32;
        if due.tokens.start == 0 && due.choice.is_multiple_of(envelope.request.sampling.n) {
            self.cached_tokens += due.history.cached_tokens;
            if let Some(block_size) = envelope.block_size {
                let in_full_blocks = envelope.prompt(due.choice).n_tokens / block_size * block_size;
                self.created_cache_tokens += in_full_blocks.saturating_sub(due.history.cached_tokens);
            }
        }
    }
}
