//! From a body whose types are right to a request that the engine can take: model known, values in range, prompt
//! counted and within the context window. The order of the checks is vLLM's.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use rehearsal_engine::request::{ToolChoice, Wishes};
use rehearsal_engine::{Adapter, Endpoint, GenerationRequest, KvCacheConfig, Prompt, SamplingParams};

use crate::config::RequestLimits;
use crate::generate::transfer::Leg;
use crate::replica::Replica;
use crate::surface::openai::body::{ChatCompletionRequest, CommonFields, CompletionRequest, Ranged, WirePrompt};
use crate::wire::errors::ApiError;

/// Whatever `--max-logprobs` says: the whole vocabulary at each position would be gigabytes.
const MOST_LOGPROBS: i64 = 1000;

/// By it a router pins a request to a rank.
const RANK_HEADER: &str = "x-data-parallel-rank";

/// A chat request for the engine.
pub fn chat(
    request: ChatCompletionRequest,
    headers: &HeaderMap,
    body: &[u8],
    replica: &Replica,
) -> Result<GenerationRequest, ApiError> {
    let incoming = Incoming::new(&request.common, headers, body, replica)?;
    if request.tool_choice == ToolChoice::Auto && !request.tools.is_empty() && !replica.limits.auto_tool_choice {
        let message = "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set";
        return Err(ApiError::invalid(message));
    }
    let prompt = replica.prompts.chat(request.messages, body)?;
    let counted = Counted { n_tokens: prompt.n_tokens, at_least: !replica.prompts.counts_all_of_a_chat() };
    let sampling = sampling(&request.common, &[counted], 1, replica)?;
    let wishes = Wishes {
        tools: request.tools,
        tool_choice: request.tool_choice,
        parallel_tool_calls: request.parallel_tool_calls,
        format: request.common.format.clone(),
        reasoning_effort: request.reasoning_effort,
    };
    Ok(incoming.request(Endpoint::ChatCompletions, vec![prompt], sampling, wishes))
}

/// A text completion request for the engine.
pub fn completion(
    request: CompletionRequest,
    headers: &HeaderMap,
    body: &[u8],
    replica: &Replica,
) -> Result<GenerationRequest, ApiError> {
    let incoming = Incoming::new(&request.common, headers, body, replica)?;
    let mut prompts = Vec::with_capacity(request.prompts.len());
    let mut counted = Vec::with_capacity(request.prompts.len());
    for prompt in request.prompts {
        // vLLM cuts a text while it tokenizes it, and so knows only a lower bound.
        let at_least = matches!(prompt, WirePrompt::Text(_));
        let prompt = replica.prompts.completion(prompt)?;
        counted.push(Counted { n_tokens: prompt.n_tokens, at_least });
        prompts.push(prompt);
    }
    // An echo may ask for the prompt alone.
    let least_tokens = if request.echo { 0 } else { 1 };
    let sampling = sampling(&request.common, &counted, least_tokens, replica)?;
    let wishes = Wishes { format: request.common.format.clone(), parallel_tool_calls: true, ..Default::default() };
    Ok(incoming.request(Endpoint::Completions, prompts, sampling, wishes))
}

/// What a request brings along, whichever endpoint it came in on.
struct Incoming<'a> {
    common: &'a CommonFields,
    adapter: Option<Arc<Adapter>>,
    headers: &'a HeaderMap,
    body: &'a [u8],
    replica: &'a Replica,
}

impl<'a> Incoming<'a> {
    /// Fails if nothing of the model's name is served, or if another rank is meant.
    fn new(
        common: &'a CommonFields,
        headers: &'a HeaderMap,
        body: &'a [u8],
        replica: &'a Replica,
    ) -> Result<Self, ApiError> {
        check_rank(headers, replica)?;
        Ok(Self { common, adapter: adapter(common.model.as_deref(), replica)?, headers, body, replica })
    }

    fn request(
        self,
        endpoint: Endpoint,
        prompts: Vec<Prompt>,
        sampling: SamplingParams,
        wishes: Wishes,
    ) -> GenerationRequest {
        let Self { common, adapter, headers, body, replica } = self;
        let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
        let needs = replica.plugins.needs();
        let wanted = headers.iter().filter(|(name, _)| needs.wants_header(name.as_str()));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        GenerationRequest {
            id: id.or(common.request_id.as_deref()).map(str::to_owned),
            endpoint,
            model: adapter.as_ref().map_or_else(|| replica.reported_model(), |adapter| &adapter.name).to_owned(),
            adapter,
            prompts,
            sampling,
            streaming: common.stream,
            cache_salt: common.cache_salt.as_deref().map(Arc::from),
            wants_token_ids: common.ranged.logprobs.is_some(),
            remote_prefill: common.transfer.is_some_and(|transfer| transfer.leg == Leg::Decode),
            wishes,
            headers: wanted.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
            raw_body: needs.raw_body().then(|| String::from_utf8_lossy(body).into_owned()),
        }
    }
}

/// A router that pins a rank must have picked that rank's port.
fn check_rank(headers: &HeaderMap, replica: &Replica) -> Result<(), ApiError> {
    let Some(rank) = headers.get(RANK_HEADER) else { return Ok(()) };
    if rank.to_str().is_ok_and(|text| text.trim().parse() == Ok(replica.rank)) {
        return Ok(());
    }
    let message = format!("this is data-parallel rank {}", replica.rank);
    Err(ApiError::invalid_value(RANK_HEADER, format!("{rank:?}"), message))
}

/// The adapter that the model's name stands for, if it is not one of the model's own. Fails if nothing of that name is
/// served.
pub fn adapter(model: Option<&str>, replica: &Replica) -> Result<Option<Arc<Adapter>>, ApiError> {
    let model = model.unwrap_or_default();
    if model.is_empty() || replica.model.served_names.iter().any(|served| served == model) {
        return Ok(None);
    }
    match replica.adapters.find(model) {
        Some(adapter) => Ok(Some(adapter)),
        None if replica.model.skips_name_validation => Ok(None),
        None => Err(ApiError::UnknownModel { model: model.to_owned(), served: replica.model.served_names.clone() }),
    }
}

/// A prompt's length, as a message may speak of it.
struct Counted {
    n_tokens: u32,
    at_least: bool,
}

fn sampling(
    common: &CommonFields,
    prompts: &[Counted],
    least_tokens: i64,
    replica: &Replica,
) -> Result<SamplingParams, ApiError> {
    let max_model_len = replica.engine.config().max_model_len;
    for prompt in prompts {
        check_window(common, prompt, max_model_len, replica.limits.strict_context_window)?;
        check_memory(prompt, replica.engine.config().kv_cache.as_ref())?;
    }
    if let Some((name, max_tokens)) = common.max_tokens
        && max_tokens < least_tokens
    {
        return Err(ApiError::invalid_value(name, max_tokens, format!("{name} must be at least 1, got {max_tokens}")));
    }
    let wanted = common.max_tokens.map(|(_, max_tokens)| max_tokens as u32);
    // The server's own maximum cuts silently, as vLLM's does.
    let max_tokens = wanted.into_iter().chain(replica.limits.output_tokens).min();
    check_ranges(&common.ranged, common.n, &replica.limits)?;
    // Effective, for the longest answer that any prompt leaves room for.
    let shortest = prompts.iter().map(|prompt| prompt.n_tokens).min().unwrap_or(0);
    let room = max_tokens.unwrap_or(u32::MAX).min(replica.engine.config().most_output_tokens(shortest));
    let min_tokens = u32::try_from(common.min_tokens)
        .map_err(|_| ApiError::invalid(format!("min_tokens must be at least 0, got {}", common.min_tokens)))?;
    if min_tokens > room {
        return Err(ApiError::invalid(format!("min_tokens must not be above max_tokens={room}, got {min_tokens}")));
    }
    if common.stop.iter().any(String::is_empty) {
        return Err(ApiError::invalid("stop must not have an empty string"));
    }
    Ok(SamplingParams {
        n: common.n as u32,
        max_tokens,
        min_tokens,
        ignore_eos: common.ignore_eos,
        stop: common.stop.clone(),
        include_stop_str_in_output: common.include_stop_str_in_output,
        seed: common.seed,
    })
}

fn check_window(common: &CommonFields, prompt: &Counted, max_model_len: u32, strict: bool) -> Result<(), ApiError> {
    if prompt.n_tokens > max_model_len {
        let (bound, value) = if prompt.at_least { ("at least ", max_model_len + 1) } else { ("", prompt.n_tokens) };
        let message = format!(
            "This model's maximum context length is {max_model_len} tokens. The prompt has {bound}{value} input tokens, \
             which leaves no room for output. Please shorten the prompt."
        );
        return Err(ApiError::invalid_value("input_tokens", value, message));
    }
    if let Some((name, max_tokens)) = common.max_tokens {
        if max_tokens > i64::from(max_model_len) {
            let message = format!("{name}={max_tokens} cannot be greater than max_model_len={max_model_len}");
            return Err(ApiError::invalid_value(name, max_tokens, message));
        }
        let total = i64::from(prompt.n_tokens) + max_tokens;
        if strict && total > i64::from(max_model_len) {
            let message = format!(
                "This model's maximum context length is {max_model_len} tokens. You asked for {total} tokens ({} in \
                 the prompt, {max_tokens} for the completion). Please reduce one of them.",
                prompt.n_tokens
            );
            return Err(ApiError::invalid_value(name, max_tokens, message));
        }
    }
    if prompt.n_tokens == max_model_len {
        let message =
            format!("max_tokens must be at least 1, got 0: the prompt fills the context of {max_model_len} tokens");
        return Err(ApiError::invalid_value("max_tokens", 0, message));
    }
    Ok(())
}

/// A prompt that the whole KV cache has no room for would wait for ever. vLLM refuses to start with such a cache.
fn check_memory(prompt: &Counted, kv_cache: Option<&KvCacheConfig>) -> Result<(), ApiError> {
    let Some(kv_cache) = kv_cache.filter(|kv_cache| u64::from(prompt.n_tokens) > kv_cache.n_tokens()) else {
        return Ok(());
    };
    let message = format!(
        "The KV cache has room for {} tokens ({} blocks of {}). The prompt has {} input tokens and can never fit. Please \
         shorten the prompt.",
        kv_cache.n_tokens(),
        kv_cache.n_blocks,
        kv_cache.block_size,
        prompt.n_tokens
    );
    Err(ApiError::invalid_value("input_tokens", prompt.n_tokens, message))
}

fn check_ranges(ranged: &Ranged, n: i64, limits: &RequestLimits) -> Result<(), ApiError> {
    if n < 1 {
        return Err(ApiError::invalid(format!("n must be at least 1, got {n}")));
    }
    if n > limits.n {
        let most = limits.n;
        let message = format!("n must be at most {most}, got {n}. VLLM_MAX_N_SEQUENCES sets another limit");
        return Err(ApiError::invalid(message));
    }
    for (name, value) in
        [("presence_penalty", ranged.presence_penalty), ("frequency_penalty", ranged.frequency_penalty)]
    {
        if let Some(value) = value.filter(|value| !(-2.0..=2.0).contains(value)) {
            return Err(ApiError::invalid(format!("{name} must be in [-2, 2], got {value:?}")));
        }
    }
    if let Some(value) = ranged.repetition_penalty.filter(|value| *value <= 0.0) {
        return Err(ApiError::invalid(format!("repetition_penalty must be greater than 0, got {value:?}")));
    }
    if let Some(value) = ranged.temperature.filter(|value| !(0.0..=2.0).contains(value)) {
        let message = format!("temperature must be in [0, 2], got {value:?}");
        return Err(ApiError::invalid_value("temperature", format!("{value:?}"), message));
    }
    if let Some(value) = ranged.top_p.filter(|value| !(*value > 0.0 && *value <= 1.0)) {
        let message = format!("top_p must be in (0, 1], got {value:?}");
        return Err(ApiError::invalid_value("top_p", format!("{value:?}"), message));
    }
    if let Some(value) = ranged.top_k.filter(|value| *value < -1) {
        return Err(ApiError::invalid(format!("top_k must be 0 or -1 to be off, or at least 1, got {value}")));
    }
    if let Some(value) = ranged.min_p.filter(|value| !(0.0..=1.0).contains(value)) {
        return Err(ApiError::invalid(format!("min_p must be in [0, 1], got {value:?}")));
    }
    if let Some(most) = limits.logprobs {
        let logprobs = ranged.logprobs.map(|(_, value)| ("logprobs", value));
        let prompt_logprobs = ranged.prompt_logprobs.map(|value| ("prompt_logprobs", value));
        for (name, value) in logprobs.into_iter().chain(prompt_logprobs) {
            // -1 is all of the vocabulary.
            if value > most || value == -1 {
                let message = format!("{name} of {value} are more than the {most} that --max-logprobs allows");
                return Err(ApiError::invalid_value(name, value, message));
            }
        }
    }
    if let Some((name, value)) = ranged.logprobs.filter(|(_, value)| *value == -1 || *value > MOST_LOGPROBS) {
        let message = format!("{name} of {value}: no more than {MOST_LOGPROBS} tokens of a position are told");
        return Err(ApiError::invalid_value(name, value, message));
    }
    if n > 1 && ranged.temperature == Some(0.0) {
        return Err(ApiError::invalid(format!("n must be 1 with a temperature of 0 (greedy sampling), got {n}")));
    }
    Ok(())
}
