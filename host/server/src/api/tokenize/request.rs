//! Bodies of `/tokenize` and `/detokenize`.

use serde_json::{Map, Value};

use crate::config::RequestLimits;
use crate::prompts::conversation::Conversation;
use crate::surface::openai::{checks, conversation, fields};
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::schema::{self, Field, Kind, TEXT, nullable, required};

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
    /// Reads a body, which is in order if it is one of the two forms; else what each of them lacks is told.
    pub(super) fn read(object: &Map<String, Value>, limits: &RequestLimits) -> Result<Self, ApiError> {
        let mut invalid = schema::check(object, fields::TOKENIZE_TEXT, limits);
        let is_text = invalid.is_empty();
        if !is_text {
            checks::generation_prompt(object)?;
            let invalid_chat = schema::check(object, fields::TOKENIZE_CHAT, limits);
            if !invalid_chat.is_empty() {
                invalid.append(invalid_chat);
                invalid.or_ok()?;
            }
        }
        let fields = Fields(object);
        let input = if is_text {
            Input::Text(fields.string("prompt").unwrap_or_default())
        } else {
            Input::Chat(Box::new(conversation::read(fields)))
        };
        Ok(Self {
            model: fields.string("model"),
            input,
            add_special_tokens: fields.switch_or("add_special_tokens", is_text),
            return_token_strs: fields.switch("return_token_strs"),
        })
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

/// The forms of a body of `/tokenize`.
pub const TOKENIZE: &[&[&[Field]]] = &[&[fields::TOKENIZE_TEXT], &[fields::TOKENIZE_CHAT]];

/// The fields of `/detokenize`.
pub const DETOKENIZE: &[Field] =
    &[nullable("model", TEXT), required("tokens", Kind::List(&Kind::Integer(0, i64::MAX as i128), None))];

impl DetokenizeRequest {
    /// Reads a body; every token that is no id is reported.
    pub(super) fn read(object: &Map<String, Value>, limits: &RequestLimits) -> Result<Self, ApiError> {
        schema::check(object, DETOKENIZE, limits).or_ok()?;
        let fields = Fields(object);
        Ok(Self { model: fields.string("model"), tokens: fields.integers("tokens") })
    }
}
