//! A line for each accepted request, where `enable-log-requests` wants one.

use rehearsal_engine::{GenerationRequest, PromptContent};
use tracing::{Level, debug, enabled, info};

use crate::config::RequestLogConfig;

/// What is to be said of one request; nothing, where nothing is wanted.
pub struct RequestLog(Option<Said>);

struct Said {
    params: String,
    adapter: Option<String>,
    prompts: Vec<String>,
}

impl RequestLog {
    /// Takes down what the engine will take away.
    pub fn of(request: &GenerationRequest, config: &RequestLogConfig) -> Self {
        if !config.requests {
            return Self(None);
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
        // Prompts may be long: only where they are shown.
        let shows_prompts = enabled!(Level::DEBUG);
        let prompt = |content: &PromptContent| {
            let text = match content {
                PromptContent::Text(text) => text.clone(),
                other => format!("{other:?}"),
            };
            text.chars().take(config.max_len.unwrap_or(usize::MAX)).collect()
        };
        let prompts = request.prompts.iter().filter(|_| shows_prompts).map(|one| prompt(&one.content)).collect();
        Self(Some(Said { params, adapter: request.adapter.as_ref().map(|adapter| adapter.name.clone()), prompts }))
    }

    /// The request was accepted under `id`. vLLM's words, which people search for.
    pub fn accepted(self, id: &str) {
        let Some(Said { params, adapter, prompts }) = self.0 else { return };
        // The client may have chosen it, with line breaks in it.
        let id = id.escape_debug();
        for prompt in prompts {
            debug!("Request {id} details: prompt: {prompt:?}");
        }
        let adapter = adapter.unwrap_or_else(|| "None".into());
        info!("Received request {id}: params: {params}, lora_request: {adapter}.");
    }
}
