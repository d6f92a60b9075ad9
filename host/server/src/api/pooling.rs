//! What models that do not generate are asked: embeddings, classes, scores. The numbers are made up of the tokens of the
//! texts, so that equal texts have equal ones and texts that share tokens are near each other. vLLM has these routes for
//! models of that kind; we always do.

pub mod classify;
pub mod embeddings;
pub mod fields;
pub mod scoring;
mod vectors;

use axum::http::HeaderMap;
use rehearsal_engine::Prompt;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::generate::{self, RequestId};
use crate::prompts::{Input, PromptOptions, Truncation};
use crate::replica::Replica;
use crate::surface::openai::{body, conversation};
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;

/// `usage`
#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: u32,
    total_tokens: u32,
    completion_tokens: u32,
    prompt_tokens_details: Option<()>,
    completion_tokens_details: Option<()>,
}

impl Usage {
    fn of(prompt_tokens: u32) -> Self {
        Self {
            prompt_tokens,
            total_tokens: prompt_tokens,
            completion_tokens: 0,
            prompt_tokens_details: None,
            completion_tokens_details: None,
        }
    }
}

/// The id of an answer: what it begins with, and the request's own, if it has one.
fn id(prefix: &str, headers: &HeaderMap, fields: Fields<'_>, replica: &Replica) -> String {
    let named = generate::named(RequestId::Suffix(fields.string("request_id")), headers);
    let id = named.unwrap_or_else(|| replica.next_id());
    format!("{prefix}-{id}")
}

/// Fails if nothing of the model's name is served; this family does not say what is.
fn check_model(fields: Fields<'_>, replica: &Replica) -> Result<(), ApiError> {
    replica.adapter(fields.text("model")).map(drop).map_err(|error| match error {
        ApiError::UnknownModel { model, .. } => ApiError::UnknownPoolingModel { model },
        error => error,
    })
}

/// Fails if something is asked for that older versions had.
fn no_longer(object: &Map<String, Value>) -> Result<(), ApiError> {
    if object.contains_key("normalize") {
        return Err(ApiError::invalid_param("normalize", "normalize was removed: use use_activation"));
    }
    if object.get("task").is_some_and(|task| task == "score") {
        return Err(ApiError::invalid_param("task", "the task score was removed: use classify"));
    }
    Ok(())
}

/// The prompts of `messages` or `input`, each with its ids.
fn prompts(fields: Fields<'_>, replica: &Replica) -> Result<Vec<Prompt>, ApiError> {
    let input = match fields.raw("messages") {
        Some(_) => {
            let mut conversation = conversation::read(fields);
            conversation.check_trust(&replica.limits)?;
            conversation.add_generation_prompt = fields.switch("add_generation_prompt");
            Input::Conversation(Box::new(conversation))
        }
        None => Input::Prompts(body::prompts(fields.raw("input"))),
    };
    encode(input, fields, replica)
}

/// Prompts that fit, with their ids.
fn encode(input: Input, fields: Fields<'_>, replica: &Replica) -> Result<Vec<Prompt>, ApiError> {
    replica.sleep.check()?;
    let max_model_len = replica.engine.config().max_model_len;
    let wanted = fields.integer("truncate_prompt_tokens");
    if let Some(wanted) = wanted.filter(|wanted| *wanted > i64::from(max_model_len)) {
        let message = format!("truncate_prompt_tokens is {wanted}, which is more than max_model_len, {max_model_len}");
        return Err(ApiError::invalid(message));
    }
    let options = PromptOptions {
        // Models of this kind keep the beginning of a text, and have no token to leave room for.
        truncation: Truncation::new(
            wanted.map(|wanted| if wanted == -1 { max_model_len.into() } else { wanted }),
            fields.text("truncation_side") != Some("left"),
            max_model_len,
        ),
        add_special_tokens: fields.raw("add_special_tokens").map(|_| fields.switch("add_special_tokens")),
        wants_ids: true,
        may_be_empty: false,
    };
    let prompts = replica.prompts.of(input, &options)?;
    if prompts.is_empty() {
        return Err(ApiError::invalid("there must be at least one prompt"));
    }
    let checked = prompts.into_iter().map(|counted| {
        let n_tokens = counted.prompt.n_tokens;
        if n_tokens == 0 {
            return Err(ApiError::invalid("the prompt cannot be empty"));
        }
        if let Some(id) = counted.unknown_id {
            return Err(ApiError::invalid(format!("token id {id} is out of vocabulary")));
        }
        if n_tokens > max_model_len {
            let (bound, value) = if counted.at_least { ("at least ", max_model_len + 1) } else { ("", n_tokens) };
            let message = format!(
                "This model's maximum context length is {max_model_len} tokens. However, your prompt contains \
                 {bound}{value} input tokens. Please shorten the prompt."
            );
            return Err(ApiError::invalid_value("input_tokens", value, message));
        }
        Ok(counted.prompt)
    });
    checked.collect()
}
