//! A line for each accepted request, where `enable-log-requests` wants one.

use rehearsal_engine::{GenerationRequest, PromptContent};
use tracing::{Level, debug, enabled, info};

use crate::config::RequestLogConfig;

/// Says that a request was accepted under `id`, if that is wanted. vLLM's words, which people search for.
pub fn log_accepted(id: &str, request: &GenerationRequest, config: &RequestLogConfig) {
    if !config.requests {
        return;
    }
    // The client may have chosen it, with line breaks in it.
    let id = id.escape_debug();
    // Prompts may be long: only where they are shown.
    if enabled!(Level::DEBUG) {
        for prompt in &request.prompts {
            let text = match &prompt.content {
                PromptContent::Text(text) => text.clone(),
                other => format!("{other:?}"),
            };
            let prompt: String = text.chars().take(config.max_len.unwrap_or(usize::MAX)).collect();
            debug!("Request {id} details: prompt: {prompt:?}");
        }
    }
    let sampling = &request.sampling;
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "None".into());
    let params = format!(
        "SamplingParams(n={}, seed={}, stop={:?}, min_tokens={}, max_tokens={}, ignore_eos={})",
        sampling.n,
        or_none(sampling.seed.map(|seed| seed.to_string())),
        sampling.stop,
        sampling.min_tokens,
        or_none(sampling.max_tokens.map(|most| most.to_string())),
        if sampling.ignore_eos { "True" } else { "False" },
    );
    let adapter = request.adapter.as_ref().map_or("None", |adapter| adapter.name.as_str());
    info!("Received request {id}: params: {params}, lora_request: {adapter}.");
}
