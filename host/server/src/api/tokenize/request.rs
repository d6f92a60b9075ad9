//! Bodies of `/tokenize` and `/detokenize`.

use serde_json::{Map, Value};

use crate::prompts::conversation::Conversation;
use crate::surface::openai::conversation;
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, integer};

/// What is to be tokenized.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// As a text completion's prompt.
    Text(String),
    /// As a chat's.
    Chat(Box<Conversation>),
}

/// A body of `/tokenize`.
#[derive(Debug, Clone)]
pub(super) struct TokenizeRequest {
    /// Which model.
    pub(super) model: Option<String>,
    /// A prompt or messages.
    pub(super) input: Input,
    /// With the tokens that the model wants around each prompt of a text completion.
    pub(super) add_special_tokens: bool,
    /// Answer with each token's text too.
    pub(super) return_token_strs: bool,
}

impl TokenizeRequest {
    /// Reads a body. Messages win; with neither, both are missing.
    pub(super) fn read(object: &Map<String, Value>) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(object);
        let model = fields.string("model").map(str::to_owned);
        let input = if fields.raw("messages").is_some() {
            Input::Chat(Box::new(conversation::read(&mut fields)))
        } else {
            let prompt = fields.required_string("prompt");
            if !fields.raw("prompt").is_some_and(Value::is_string) {
                fields.missing("messages");
            }
            Input::Text(prompt.to_owned())
        };
        let add_special_tokens = fields.switch_or("add_special_tokens", true);
        let return_token_strs = fields.switch("return_token_strs");
        fields.finish()?;
        if let Input::Chat(conversation) = &input {
            conversation::check(conversation)?;
        }
        Ok(Self { model, input, add_special_tokens, return_token_strs })
    }
}

/// A body of `/detokenize`.
#[derive(Debug, Clone)]
pub(super) struct DetokenizeRequest {
    /// Which model.
    pub(super) model: Option<String>,
    /// None of them negative.
    pub(super) tokens: Vec<i64>,
}

impl DetokenizeRequest {
    /// Reads a body; every token that is no id is reported.
    pub(super) fn read(object: &Map<String, Value>) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(object);
        let model = fields.string("model").map(str::to_owned);
        if fields.raw("tokens").is_none() {
            fields.missing("tokens");
        }
        let mut tokens = Vec::new();
        for (at, value) in fields.list("tokens").unwrap_or_default().iter().enumerate() {
            let name = format!("tokens.{at}");
            match integer(value) {
                Ok(token) if token >= 0 => tokens.push(token),
                Ok(_) => fields.error(&name, "greater_than_equal", "expected 0 or more", value),
                Err((kind, message)) => fields.error(&name, kind, message, value),
            }
        }
        fields.finish()?;
        Ok(Self { model, tokens })
    }
}
