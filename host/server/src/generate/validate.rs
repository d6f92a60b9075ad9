//! What a request asks for, held against what the server allows: values in range, prompts within the context window. The
//! order of the checks is vLLM's.

mod engine_side;
mod format;
mod schema_size;

use rehearsal_engine::request::{RepetitionDetection, ToolChoice, Wishes};
use rehearsal_engine::{EngineConfig, KvCacheConfig, SamplingParams};

use super::incoming::Sampling;
use crate::config::RequestLimits;
use crate::prompts::CountedPrompt;
use crate::wire::errors::ApiError;
use crate::wire::python;

pub(super) use engine_side::engine_side;
pub use format::Format;

/// Tools that the model may choose to call need a server that lets it, and each a schema that can be followed.
pub(super) fn tools(wishes: &Wishes, limits: &RequestLimits) -> Result<(), ApiError> {
    if wishes.tool_choice == ToolChoice::Auto && !wishes.tools.is_empty() && !limits.auto_tool_choice {
        let message = "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set";
        return Err(ApiError::invalid(message));
    }
    wishes.tools.iter().try_for_each(format::check_parameters)
}

/// Fails if more is asked for than the window has room for, whatever the prompt: before it is tokenized.
pub(super) fn lengths(given: &Sampling, max_model_len: u32) -> Result<(), ApiError> {
    if let Some((name, max_tokens)) = given.max_tokens
        && max_tokens > i64::from(max_model_len)
    {
        let message = format!("{name}={max_tokens} cannot be greater than max_model_len={max_model_len}");
        return Err(ApiError::invalid_value(name, max_tokens, message));
    }
    if let Some(most) = given.truncate_prompt_tokens.filter(|most| *most > i64::from(max_model_len)) {
        let message = format!("truncate_prompt_tokens={most} cannot be greater than max_model_len={max_model_len}");
        return Err(ApiError::invalid_value("truncate_prompt_tokens", most, message));
    }
    Ok(())
}

/// Fails if a prompt leaves no room for an answer.
pub(super) fn window(
    given: &Sampling,
    counted: &CountedPrompt,
    limits: &RequestLimits,
    engine: &EngineConfig,
) -> Result<(), ApiError> {
    let (n_tokens, max_model_len) = (counted.prompt.n_tokens, engine.max_model_len);
    if n_tokens > max_model_len {
        let (bound, value) = if counted.at_least { ("at least ", max_model_len + 1) } else { ("", n_tokens) };
        let message = format!(
            "This model's maximum context length is {max_model_len} tokens. However, your prompt contains {bound}{value} \
             input tokens, which leaves no room for output. Please shorten the prompt."
        );
        return Err(ApiError::invalid_value("input_tokens", value, message));
    }
    if let Some((name, max_tokens)) = given.max_tokens.filter(|_| limits.strict_context_window) {
        let total = i64::from(n_tokens) + max_tokens;
        if total > i64::from(max_model_len) {
            let message = format!(
                "This model's maximum context length is {max_model_len} tokens. You asked for {total} tokens ({n_tokens} \
                 in the prompt, {max_tokens} for the completion). Please reduce one of them."
            );
            return Err(ApiError::invalid_value(name, max_tokens, message));
        }
    }
    if n_tokens == max_model_len {
        let message =
            format!("max_tokens must be at least 1, got 0: the prompt fills the context of {max_model_len} tokens");
        return Err(ApiError::invalid_value("max_tokens", 0, message));
    }
    memory(n_tokens, engine.kv_cache.as_ref())
}

/// A prompt that the whole KV cache has no room for would wait for ever. vLLM refuses to start with such a cache.
fn memory(n_tokens: u32, kv_cache: Option<&KvCacheConfig>) -> Result<(), ApiError> {
    let Some(kv_cache) = kv_cache.filter(|kv_cache| u64::from(n_tokens) > kv_cache.n_tokens()) else {
        return Ok(());
    };
    let message = format!(
        "The KV cache has room for {} tokens ({} blocks of {}). The prompt has {n_tokens} input tokens and can never fit. \
         Please shorten the prompt.",
        kv_cache.n_tokens(),
        kv_cache.n_blocks,
        kv_cache.block_size,
    );
    Err(ApiError::invalid_value("input_tokens", n_tokens, message))
}

/// Sampling parameters that are in range, for prompts that fit.
pub(super) fn sampling(
    given: &Sampling,
    prompts: &[CountedPrompt],
    limits: &RequestLimits,
    engine: &EngineConfig,
) -> Result<SamplingParams, ApiError> {
    logit_bias(&given.logit_bias)?;
    choices(given, limits)?;
    ranges(given)?;
    if let Some((_, max_tokens)) = given.max_tokens.filter(|(_, max_tokens)| *max_tokens < given.least_max_tokens) {
        let message = format!("max_tokens must be at least 1, got {max_tokens}");
        return Err(ApiError::invalid_value("max_tokens", max_tokens, message));
    }
    let wanted = given.max_tokens.map(|(_, max_tokens)| max_tokens as u32);
    // The server's own maximum cuts silently, as vLLM's does.
    let max_tokens = wanted.into_iter().chain(limits.output_tokens).min();
    // Effective, for the longest answer that any prompt leaves room for.
    let shortest = prompts.iter().map(|counted| counted.prompt.n_tokens).min().unwrap_or(0);
    let room = max_tokens.unwrap_or(u32::MAX).min(engine.most_output_tokens(shortest));
    let min_tokens = u32::try_from(given.min_tokens.max(-1))
        .map_err(|_| ApiError::invalid(format!("min_tokens must be at least 0, got {}", given.min_tokens)))?;
    if min_tokens > room {
        return Err(ApiError::invalid(format!("min_tokens must not be above max_tokens={room}, got {min_tokens}")));
    }
    if given.stop.iter().any(String::is_empty) {
        return Err(ApiError::invalid("stop must not have an empty string"));
    }
    if given.bad_words.iter().any(String::is_empty) {
        return Err(ApiError::invalid("bad_words must not have an empty string"));
    }
    if given.n > 1 && given.temperature == Some(0.0) && !given.use_beam_search {
        let n = given.n;
        return Err(ApiError::invalid(format!("n must be 1 with a temperature of 0 (greedy sampling), got {n}")));
    }
    Ok(SamplingParams {
        n: given.n as u32,
        max_tokens,
        min_tokens,
        ignore_eos: given.ignore_eos,
        stop: given.stop.clone(),
        // Those that the vocabulary lacks are refused before they count.
        stop_token_ids: given.stop_token_ids.iter().filter_map(|id| u32::try_from(*id).ok()).collect(),
        include_stop_str_in_output: given.include_stop_str_in_output,
        repetition_detection: repetition_detection(given.repetition_detection)?,
        seed: given.seed,
    })
}

fn logit_bias(keys: &[String]) -> Result<(), ApiError> {
    let is_id = |key: &String| key.trim().parse::<i64>().is_ok();
    let wrong: Vec<_> = keys.iter().filter(|key| !is_id(key)).map(|key| python::quoted(key)).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let wrong = format!("[{}]", wrong.join(", "));
    Err(ApiError::invalid_value("logit_bias", &wrong, format!("logit_bias has keys that are no token ids: {wrong}")))
}

fn choices(given: &Sampling, limits: &RequestLimits) -> Result<(), ApiError> {
    let (n, most) = (given.n, limits.n);
    if n < 1 {
        let name = if given.use_beam_search { "beam_width" } else { "n" };
        return Err(ApiError::invalid(format!("{name} must be at least 1, got {n}")));
    }
    if n > most {
        let message = format!("n must be at most {most}, got {n}. VLLM_MAX_N_SEQUENCES sets another limit");
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

fn ranges(given: &Sampling) -> Result<(), ApiError> {
    for (name, value) in [("presence_penalty", given.presence_penalty), ("frequency_penalty", given.frequency_penalty)]
    {
        if let Some(value) = value.filter(|value| !(-2.0..=2.0).contains(value)) {
            return Err(ApiError::invalid(format!("{name} must be in [-2, 2], got {}", python::float(value))));
        }
    }
    if let Some(value) = given.repetition_penalty.filter(|value| !value.is_finite() || *value <= 0.0) {
        let value = python::float(value);
        return Err(ApiError::invalid(format!("repetition_penalty must be finite and greater than 0, got {value}")));
    }
    if let Some(value) = given.temperature.filter(|value| !(0.0..=2.0).contains(value)) {
        let value = python::float(value);
        let message = format!("temperature must be in [0, 2], got {value}");
        return Err(ApiError::invalid_value("temperature", value, message));
    }
    if let Some(value) = given.top_p.filter(|value| !(*value > 0.0 && *value <= 1.0)) {
        let value = python::float(value);
        let message = format!("top_p must be in (0, 1], got {value}");
        return Err(ApiError::invalid_value("top_p", value, message));
    }
    if let Some(value) = given.top_k.filter(|value| *value < -1) {
        return Err(ApiError::invalid(format!("top_k must be 0 or -1 to be off, or at least 1, got {value}")));
    }
    if let Some(value) = given.min_p.filter(|value| !(0.0..=1.0).contains(value)) {
        return Err(ApiError::invalid(format!("min_p must be in [0, 1], got {}", python::float(value))));
    }
    Ok(())
}

/// `None` if nothing is to be looked for.
fn repetition_detection(given: Option<[i64; 3]>) -> Result<Option<RepetitionDetection>, ApiError> {
    let Some([most, least, count]) = given else { return Ok(None) };
    if most < 0 || least < 0 || least > most {
        let message = format!(
            "repetition_detection: sizes of patterns must not be negative, and min_pattern_size={least} not above \
             max_pattern_size={most}"
        );
        return Err(ApiError::invalid(message));
    }
    if most > 0 && count < 2 {
        let message = format!("repetition_detection: min_count must be at least 2, got {count}");
        return Err(ApiError::invalid(message));
    }
    Ok((most > 0).then_some(RepetitionDetection {
        pattern_sizes: least.max(1) as usize..=most as usize,
        min_count: count as usize,
    }))
}
