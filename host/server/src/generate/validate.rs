//! What a request asks for, held against what the server allows: values in range, prompts within the context window. The
//! order of the checks is vLLM's.

use rehearsal_engine::request::{ToolChoice, Wishes};
use rehearsal_engine::{EngineConfig, KvCacheConfig, SamplingParams};

use super::incoming::Sampling;
use crate::config::RequestLimits;
use crate::prompts::CountedPrompt;
use crate::wire::errors::ApiError;

/// Whatever `--max-logprobs` says: the whole vocabulary at each position would be gigabytes.
const MOST_LOGPROBS: i64 = 1000;

/// Tools that the model may choose to call need a server that lets it.
pub(super) fn tool_choice(wishes: &Wishes, limits: &RequestLimits) -> Result<(), ApiError> {
    if wishes.tool_choice == ToolChoice::Auto && !wishes.tools.is_empty() && !limits.auto_tool_choice {
        let message = "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set";
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

/// Sampling parameters that are in range, for prompts that fit.
pub(super) fn sampling(
    given: &Sampling,
    prompts: &[CountedPrompt],
    limits: &RequestLimits,
    engine: &EngineConfig,
) -> Result<SamplingParams, ApiError> {
    let max_model_len = engine.max_model_len;
    for prompt in prompts {
        check_window(given, prompt, max_model_len, limits.strict_context_window)?;
        check_memory(prompt, engine.kv_cache.as_ref())?;
    }
    if let Some((name, max_tokens)) = given.max_tokens
        && max_tokens < given.least_max_tokens
    {
        return Err(ApiError::invalid_value(name, max_tokens, format!("{name} must be at least 1, got {max_tokens}")));
    }
    let wanted = given.max_tokens.map(|(_, max_tokens)| max_tokens as u32);
    // The server's own maximum cuts silently, as vLLM's does.
    let max_tokens = wanted.into_iter().chain(limits.output_tokens).min();
    check_ranges(given, limits)?;
    // Effective, for the longest answer that any prompt leaves room for.
    let shortest = prompts.iter().map(|prompt| prompt.prompt.n_tokens).min().unwrap_or(0);
    let room = max_tokens.unwrap_or(u32::MAX).min(engine.most_output_tokens(shortest));
    let min_tokens = u32::try_from(given.min_tokens)
        .map_err(|_| ApiError::invalid(format!("min_tokens must be at least 0, got {}", given.min_tokens)))?;
    if min_tokens > room {
        return Err(ApiError::invalid(format!("min_tokens must not be above max_tokens={room}, got {min_tokens}")));
    }
    if given.stop.iter().any(String::is_empty) {
        return Err(ApiError::invalid("stop must not have an empty string"));
    }
    Ok(SamplingParams {
        n: given.n as u32,
        max_tokens,
        min_tokens,
        ignore_eos: given.ignore_eos,
        stop: given.stop.clone(),
        include_stop_str_in_output: given.include_stop_str_in_output,
        seed: given.seed,
    })
}

fn check_window(given: &Sampling, prompt: &CountedPrompt, max_model_len: u32, strict: bool) -> Result<(), ApiError> {
    if prompt.prompt.n_tokens > max_model_len {
        let (bound, value) =
            if prompt.at_least { ("at least ", max_model_len + 1) } else { ("", prompt.prompt.n_tokens) };
        let message = format!(
            "This model's maximum context length is {max_model_len} tokens. The prompt has {bound}{value} input tokens, \
             which leaves no room for output. Please shorten the prompt."
        );
        return Err(ApiError::invalid_value("input_tokens", value, message));
    }
    if let Some((name, max_tokens)) = given.max_tokens {
        if max_tokens > i64::from(max_model_len) {
            let message = format!("{name}={max_tokens} cannot be greater than max_model_len={max_model_len}");
            return Err(ApiError::invalid_value(name, max_tokens, message));
        }
        let total = i64::from(prompt.prompt.n_tokens) + max_tokens;
        if strict && total > i64::from(max_model_len) {
            let message = format!(
                "This model's maximum context length is {max_model_len} tokens. You asked for {total} tokens ({} in \
                 the prompt, {max_tokens} for the completion). Please reduce one of them.",
                prompt.prompt.n_tokens
            );
            return Err(ApiError::invalid_value(name, max_tokens, message));
        }
    }
    if prompt.prompt.n_tokens == max_model_len {
        let message =
            format!("max_tokens must be at least 1, got 0: the prompt fills the context of {max_model_len} tokens");
        return Err(ApiError::invalid_value("max_tokens", 0, message));
    }
    Ok(())
}

/// A prompt that the whole KV cache has no room for would wait for ever. vLLM refuses to start with such a cache.
fn check_memory(prompt: &CountedPrompt, kv_cache: Option<&KvCacheConfig>) -> Result<(), ApiError> {
    let Some(kv_cache) = kv_cache.filter(|kv_cache| u64::from(prompt.prompt.n_tokens) > kv_cache.n_tokens()) else {
        return Ok(());
    };
    let message = format!(
        "The KV cache has room for {} tokens ({} blocks of {}). The prompt has {} input tokens and can never fit. Please \
         shorten the prompt.",
        kv_cache.n_tokens(),
        kv_cache.n_blocks,
        kv_cache.block_size,
        prompt.prompt.n_tokens
    );
    Err(ApiError::invalid_value("input_tokens", prompt.prompt.n_tokens, message))
}

fn check_ranges(given: &Sampling, limits: &RequestLimits) -> Result<(), ApiError> {
    let n = given.n;
    if n < 1 {
        return Err(ApiError::invalid(format!("n must be at least 1, got {n}")));
    }
    if n > limits.n {
        let most = limits.n;
        let message = format!("n must be at most {most}, got {n}. VLLM_MAX_N_SEQUENCES sets another limit");
        return Err(ApiError::invalid(message));
    }
    for (name, value) in [("presence_penalty", given.presence_penalty), ("frequency_penalty", given.frequency_penalty)]
    {
        if let Some(value) = value.filter(|value| !(-2.0..=2.0).contains(value)) {
            return Err(ApiError::invalid(format!("{name} must be in [-2, 2], got {value:?}")));
        }
    }
    if let Some(value) = given.repetition_penalty.filter(|value| *value <= 0.0) {
        return Err(ApiError::invalid(format!("repetition_penalty must be greater than 0, got {value:?}")));
    }
    if let Some(value) = given.temperature.filter(|value| !(0.0..=2.0).contains(value)) {
        let message = format!("temperature must be in [0, 2], got {value:?}");
        return Err(ApiError::invalid_value("temperature", format!("{value:?}"), message));
    }
    if let Some(value) = given.top_p.filter(|value| !(*value > 0.0 && *value <= 1.0)) {
        let message = format!("top_p must be in (0, 1], got {value:?}");
        return Err(ApiError::invalid_value("top_p", format!("{value:?}"), message));
    }
    if let Some(value) = given.top_k.filter(|value| *value < -1) {
        return Err(ApiError::invalid(format!("top_k must be 0 or -1 to be off, or at least 1, got {value}")));
    }
    if let Some(value) = given.min_p.filter(|value| !(0.0..=1.0).contains(value)) {
        return Err(ApiError::invalid(format!("min_p must be in [0, 1], got {value:?}")));
    }
    if let Some(most) = limits.logprobs {
        let logprobs = given.logprobs.map(|(_, value)| ("logprobs", value));
        let prompt_logprobs = given.prompt_logprobs.map(|value| ("prompt_logprobs", value));
        for (name, value) in logprobs.into_iter().chain(prompt_logprobs) {
            // -1 is all of the vocabulary.
            if value > most || value == -1 {
                let message = format!("{name} of {value} are more than the {most} that --max-logprobs allows");
                return Err(ApiError::invalid_value(name, value, message));
            }
        }
    }
    if let Some((name, value)) = given.logprobs.filter(|(_, value)| *value == -1 || *value > MOST_LOGPROBS) {
        let message = format!("{name} of {value}: no more than {MOST_LOGPROBS} tokens of a position are told");
        return Err(ApiError::invalid_value(name, value, message));
    }
    if n > 1 && given.temperature == Some(0.0) {
        return Err(ApiError::invalid(format!("n must be 1 with a temperature of 0 (greedy sampling), got {n}")));
    }
    Ok(())
}
