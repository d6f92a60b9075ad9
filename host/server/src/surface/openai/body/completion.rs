//! The body of `POST /v1/completions`.

use serde_json::{Map, Value};

use super::{CommonFields, check_raw, check_stream_options};
use crate::config::RequestLimits;
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, integer};

/// A text completion request, its types checked.
#[derive(Debug, Clone)]
pub struct CompletionRequest {
    /// At least one; each makes `n` choices.
    pub prompts: Vec<WirePrompt>,
    /// Put the prompt before the answer.
    pub echo: bool,
    /// What it shares with chat completions.
    pub common: CommonFields,
}

/// One prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum WirePrompt {
    /// Text.
    Text(String),
    /// Token ids; of any size, until they are checked against the vocabulary.
    TokenIds(Vec<i64>),
}

impl CompletionRequest {
    /// Reads a body. Contradictions that vLLM finds first are found first; then all wrong types together.
    pub fn read(object: &Map<String, Value>, limits: &RequestLimits) -> Result<Self, ApiError> {
        check_prompt_is_there(object, limits.prompts)?;
        check_stream_options(object, true)?;
        let logprobs = object.get("logprobs").and_then(|value| integer(value).ok());
        if let Some(logprobs) = logprobs.filter(|logprobs| *logprobs < -1) {
            return Err(ApiError::invalid_value("logprobs", logprobs, "logprobs must be -1 or more"));
        }
        check_raw(object)?;
        let mut fields = Fields::of_body(object);
        let prompts = prompts(&mut fields);
        let echo = fields.switch("echo");
        let max_tokens = fields.integer("max_tokens").map(|max_tokens| ("max_tokens", max_tokens));
        let mut common = CommonFields::read(&mut fields, max_tokens, limits);
        common.ranged.logprobs = fields.integer("logprobs").map(|logprobs| ("logprobs", logprobs));
        let suffix = fields.string("suffix");
        fields.finish()?;
        if suffix.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(ApiError::invalid_param("suffix", "suffix needs a model that fills in the middle"));
        }
        Ok(Self { prompts, echo, common })
    }
}

fn check_prompt_is_there(object: &Map<String, Value>, most: usize) -> Result<(), ApiError> {
    match object.get("prompt") {
        None | Some(Value::Null) => Err(ApiError::invalid_param("prompt", "prompt must be given and not be empty")),
        Some(Value::String(prompt)) if prompt.is_empty() => {
            Err(ApiError::invalid_param("prompt", "prompt must be given and not be empty"))
        }
        Some(Value::Array(prompts)) if prompts.is_empty() => Err(ApiError::invalid("the prompt cannot be empty")),
        Some(Value::Array(prompts)) if prompts.len() > most && !prompts[0].is_number() => {
            let message = format!(
                "prompt has {} prompts, at most {most} are allowed by VLLM_MAX_COMPLETION_PROMPTS",
                prompts.len()
            );
            Err(ApiError::invalid_param("prompt", message))
        }
        Some(_) => Ok(()),
    }
}

/// The form is decided by the first element, as in a union of four.
fn prompts(fields: &mut Fields<'_>) -> Vec<WirePrompt> {
    let value = fields.raw("prompt");
    match value {
        Some(Value::String(text)) => vec![WirePrompt::Text(text.clone())],
        Some(Value::Array(list)) => match list.first() {
            Some(Value::String(_)) => texts(fields, list),
            Some(Value::Array(_)) => list
                .iter()
                .enumerate()
                .filter_map(|(index, ids)| token_ids(fields, &format!("prompt.{index}"), ids))
                .collect(),
            _ => token_ids(fields, "prompt", value.unwrap_or(&Value::Null)).into_iter().collect(),
        },
        Some(other) => {
            fields.error("prompt", "list_type", "expected a string, strings, token ids or lists of token ids", other);
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn texts(fields: &mut Fields<'_>, list: &[Value]) -> Vec<WirePrompt> {
    let mut prompts = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        match value.as_str() {
            Some(text) => prompts.push(WirePrompt::Text(text.to_owned())),
            None => fields.error(&format!("prompt.{index}"), "string_type", "expected a string like the first", value),
        }
    }
    prompts
}

fn token_ids(fields: &mut Fields<'_>, at: &str, value: &Value) -> Option<WirePrompt> {
    let Some(list) = value.as_array() else {
        fields.error(at, "list_type", "expected a list of token ids like the first", value);
        return None;
    };
    let mut ids = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let at = format!("{at}.{index}");
        match integer(value) {
            Ok(id) if id < 0 => fields.error(&at, "greater_than_equal", "expected at least 0", value),
            Ok(id) => ids.push(id),
            Err((kind, message)) => fields.error(&at, kind, message, value),
        }
    }
    Some(WirePrompt::TokenIds(ids))
}
