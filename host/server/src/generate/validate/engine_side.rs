//! What vLLM finds wrong only inside its engine's client: a stream has sent its status by then, and tells of it in an
//! event.

use rehearsal_engine::request::OutputFormat;

use super::format::{self, Format};
use crate::config::RequestLimits;
use crate::generate::incoming::Sampling;
use crate::prompts::CountedPrompt;
use crate::wire::errors::ApiError;

/// Whatever `--max-logprobs` says: the whole vocabulary at each position would be gigabytes.
const MOST_LOGPROBS: i64 = 1000;

/// Tokens whose log-probabilities a request may name.
const MOST_LOGPROB_TOKENS: usize = 128;

/// In vLLM's order: log-probabilities, ids, format, thought, and then the prompts. Returns the format, if answers must have
/// one.
pub(in crate::generate) fn engine_side(
    given: &Sampling,
    format: &OutputFormat,
    prompts: &[CountedPrompt],
    limits: &RequestLimits,
    last_id: u32,
) -> Result<Option<Format>, ApiError> {
    let n_ids = i64::from(last_id) + 1;
    if let Some((_, logprobs)) = given.logprobs {
        most_logprobs("logprobs", logprobs, limits, n_ids)?;
    }
    if let Some(ids) = &given.logprob_token_ids {
        if ids.len() > MOST_LOGPROB_TOKENS {
            let n = ids.len();
            let message = format!("logprob_token_ids has {n} ids, at most {MOST_LOGPROB_TOKENS} are allowed");
            return Err(ApiError::invalid_value("logprob_token_ids", n, message));
        }
        known("logprob_token_ids", ids, n_ids)?;
        if let Some((_, logprobs)) = given.logprobs.filter(|(_, logprobs)| usize::try_from(*logprobs) != Ok(ids.len()))
        {
            let n = ids.len();
            let message =
                format!("logprobs must be the number of logprob_token_ids, {n}, where both are given, got {logprobs}");
            return Err(ApiError::invalid_value("logprob_token_ids", n, message));
        }
    }
    if let Some(logprobs) = given.prompt_logprobs {
        most_logprobs("prompt_logprobs", logprobs, limits, n_ids)?;
    }
    let biased: Vec<_> = given.logit_bias.iter().filter_map(|key| key.trim().parse().ok()).collect();
    known("logit_bias", &biased, n_ids)?;
    known("stop_token_ids", &given.stop_token_ids, n_ids)?;
    if let Some(allowed) = &given.allowed_token_ids {
        if allowed.is_empty() {
            return Err(ApiError::invalid_value("allowed_token_ids", "[]", "allowed_token_ids must not be empty"));
        }
        known("allowed_token_ids", allowed, n_ids)?;
    }
    let format = format::check(format)?;
    if given.thinking_token_budget.is_some_and(|budget| budget >= 0) && !limits.has_reasoning_parser {
        return Err(ApiError::invalid("thinking_token_budget needs a server with --reasoning-parser"));
    }
    for counted in prompts {
        if counted.prompt.n_tokens == 0 && !counted.may_be_empty {
            return Err(ApiError::invalid("the prompt cannot be empty"));
        }
        if let Some(id) = counted.unknown_id {
            return Err(ApiError::invalid(format!("token id {id} is out of vocabulary")));
        }
    }
    Ok(format)
}

fn most_logprobs(name: &'static str, given: i64, limits: &RequestLimits, n_ids: i64) -> Result<(), ApiError> {
    if given < -1 {
        let message = format!("{name} must be -1, for the whole vocabulary, or not negative, got {given}");
        return Err(ApiError::invalid_value(name, given, message));
    }
    let wanted = if given == -1 { n_ids } else { given };
    if let Some(most) = limits.logprobs.filter(|most| wanted > *most) {
        let message = format!("{name} of {wanted} are more than the {most} that --max-logprobs allows");
        return Err(ApiError::invalid_value(name, wanted, message));
    }
    if wanted > MOST_LOGPROBS {
        let message = format!("{name} of {wanted}: no more than {MOST_LOGPROBS} tokens of a position are told");
        return Err(ApiError::invalid_value(name, wanted, message));
    }
    Ok(())
}

/// Ids that the vocabulary has.
fn known(name: &'static str, ids: &[i64], n_ids: i64) -> Result<(), ApiError> {
    let unknown: Vec<_> = ids.iter().filter(|id| !(0..n_ids).contains(*id)).map(i64::to_string).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown = format!("[{}]", unknown.join(", "));
    let message = format!("{name} has ids {unknown} that are out of vocabulary, which has {n_ids}");
    Err(ApiError::invalid_value(name, unknown, message))
}
