//! What is judged before the engine sees anything, in vLLM's order.

use std::sync::Arc;

use axum::http::HeaderMap;
use rehearsal_engine::request::Wishes;
use rehearsal_engine::{Adapter, Endpoint, SamplingParams};

use super::incoming::{Incoming, Sampling};
use super::validate;
use crate::prompts::conversation::Conversation;
use crate::prompts::{CountedPrompt, Input, PromptOptions, Truncation};
use crate::replica::Replica;
use crate::wire::errors::ApiError;

/// By it a router pins a request to a rank.
const RANK_HEADER: &str = "x-data-parallel-rank";

/// A request whose prompts fit and whose numbers are in range.
pub struct Judged {
    /// The model, if it is an adapter.
    pub adapter: Option<Arc<Adapter>>,
    /// What is to be answered.
    pub prompts: Vec<CountedPrompt>,
    /// How to sample.
    pub params: SamplingParams,
}

/// Judges what vLLM judges before its engine sees anything, in vLLM's order.
pub fn judge(incoming: &mut Incoming, headers: &HeaderMap, replica: &Replica) -> Result<Judged, ApiError> {
    check_rank(headers, replica.rank)?;
    let adapter = replica.adapter(incoming.model.as_deref())?;
    let Incoming { endpoint, sampling, wishes, .. } = &*incoming;
    let (limits, engine) = (&replica.limits, replica.engine.config());
    validate::tools(wishes, limits)?;
    if let Input::Conversation(conversation) = &incoming.input {
        conversation.check_trust(limits)?;
    }
    if *endpoint != Endpoint::Generate {
        // Tokens in, tokens out: as many as there is room for.
        validate::lengths(sampling, engine.max_model_len)?;
    }
    let options = PromptOptions {
        truncation: Truncation::new(sampling.truncate_prompt_tokens, sampling.truncates_right, engine.max_model_len),
        add_special_tokens: incoming.add_special_tokens,
        wants_ids: incoming.wants_token_ids,
        may_be_empty: sampling.least_max_tokens == 0,
    };
    let input = std::mem::replace(&mut incoming.input, Input::Prompts(Vec::new()));
    let prompts = replica.prompts.of(input, &options)?;
    for counted in &prompts {
        validate::window(&incoming.sampling, counted, limits, engine)?;
    }
    let params = validate::sampling(&incoming.sampling, &prompts, limits, engine)?;
    Ok(Judged { adapter, prompts, params })
}

/// The length of a conversation's prompt, judged as that of a request without a limit.
pub fn count(
    model: Option<&str>,
    conversation: Conversation,
    wishes: &Wishes,
    replica: &Replica,
) -> Result<u32, ApiError> {
    replica.adapter(model)?;
    validate::tools(wishes, &replica.limits)?;
    conversation.check_trust(&replica.limits)?;
    let prompts = replica.prompts.of(Input::Conversation(Box::new(conversation)), &PromptOptions::default())?;
    for counted in &prompts {
        validate::window(&Sampling::default(), counted, &replica.limits, replica.engine.config())?;
    }
    Ok(prompts.iter().map(|counted| counted.prompt.n_tokens).sum())
}

/// A router that pins a rank must have picked that rank's port. What is no number pins nothing, as in vLLM.
fn check_rank(headers: &HeaderMap, rank: u32) -> Result<(), ApiError> {
    let pinned = headers.get(RANK_HEADER).and_then(|value| value.to_str().ok()?.trim().parse::<i64>().ok());
    match pinned.filter(|pinned| *pinned != i64::from(rank)) {
        None => Ok(()),
        Some(pinned) => Err(ApiError::invalid_value(RANK_HEADER, pinned, format!("this is data-parallel rank {rank}"))),
    }
}
