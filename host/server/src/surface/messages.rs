//! `POST /v1/messages`: Anthropic's API, as vLLM speaks it.

mod conversation;
mod events;
pub mod fields;

use axum::Json;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::request::{OutputFormat, ToolChoice, Wishes};
use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{CompletionOutput, Endpoint, FinishReason, StopReason};
use serde::Serialize;
use serde_json::{Map, Value};

use super::openai::checks;
use crate::config::RequestLimits;
use crate::generate::{Answer, Envelope, Incoming, RequestId, Sampling, Surface, TokenCounts, Transfer};
use crate::prompts::Input;
use crate::prompts::conversation::Conversation;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::invalid::{Invalid, Wrong};
use crate::wire::schema;
use events::MessageEvents;

/// Answers with a message.
pub struct Messages;

impl Surface for Messages {
    const ID_PREFIX: &'static str = "chatcmpl-";
    type Events = MessageEvents;

    fn read(object: Map<String, Value>, limits: &RequestLimits) -> Result<(Self, Incoming), ApiError> {
        schema::check(&object, fields::MESSAGES, limits).or_ok()?;
        let fields = Fields(&object);
        let max_tokens = fields.integer("max_tokens").unwrap_or(0);
        let thinking = fields.within("thinking");
        let budget = thinking.and_then(|thinking| thinking.integer("budget_tokens"));
        if budget.is_some_and(|budget| budget >= max_tokens) {
            let wrong = Wrong::value("thinking.budget_tokens must be less than max_tokens");
            return Err(Invalid::one("body", wrong, &Value::Object(object.clone())).into());
        }
        check_named_tool(fields)?;
        checks::cache_salt(&object)?;
        let (conversation, wishes) = read_prompt(fields);
        let incoming = Incoming {
            endpoint: Endpoint::Messages,
            model: fields.string("model"),
            input: Input::Conversation(Box::new(conversation)),
            sampling: Sampling {
                n: 1,
                max_tokens: Some(("max_completion_tokens", max_tokens)),
                least_max_tokens: 1,
                stop: fields.texts("stop_sequences"),
                temperature: fields.number("temperature"),
                top_p: fields.number("top_p"),
                top_k: fields.integer("top_k"),
                thinking_token_budget: budget,
                ..Sampling::default()
            },
            wishes,
            stream: fields.switch("stream"),
            transfer: Transfer::read(fields),
            request_id: RequestId::Suffix(None),
            cache_salt: fields.string("cache_salt"),
            priority: 0,
            wants_token_ids: false,
            add_special_tokens: None,
        };
        Ok((Self, incoming))
    }

    fn whole(self, answer: &Answer) -> Response {
        let Answer { envelope, outputs, counts } = answer;
        let output = &outputs[0];
        let (stop_reason, stop_sequence) = stop(output);
        let message = Message {
            id: &envelope.id,
            kind: "message",
            role: "assistant",
            content: blocks(output, envelope),
            model: &envelope.request.model,
            stop_reason,
            stop_sequence,
            usage: Usage::new(envelope, *counts),
            kv_transfer_params: envelope.kv_transfer_params(),
        };
        Json(message).into_response()
    }

    fn events(self, envelope: Envelope) -> MessageEvents {
        MessageEvents::new(envelope)
    }

    fn failed(error: ApiError) -> Response {
        failed(error)
    }
}

/// What `/v1/messages` and `/v1/messages/count_tokens` make a prompt of.
pub(crate) fn read_prompt(fields: Fields<'_>) -> (Conversation, Wishes) {
    let tools = conversation::tools(fields);
    let choice = fields.within("tool_choice");
    let tool_choice = match choice.and_then(|choice| choice.text("type")) {
        None if tools.is_empty() => ToolChoice::None,
        None | Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("tool") => ToolChoice::Function(choice.and_then(|choice| choice.string("name")).unwrap_or_default()),
        Some(_) => ToolChoice::None,
    };
    let output = fields.within("output_config");
    let schema = output.and_then(|output| output.within("format")?.object("schema"));
    let thinking = fields.within("thinking").and_then(|thinking| thinking.text("type"));
    let effort = output.and_then(|output| output.string("effort"));
    let wishes = Wishes {
        tools,
        tool_choice,
        parallel_tool_calls: !choice.is_some_and(|choice| choice.switch("disable_parallel_tool_use")),
        format: schema.map_or(OutputFormat::Free, |schema| {
            OutputFormat::JsonSchema(serde_json::to_string(schema).unwrap_or_default())
        }),
        reasoning_effort: if thinking == Some("disabled") { Some("none".into()) } else { effort },
    };
    let conversation = conversation::read(fields).with_effort(wishes.reasoning_effort.as_deref());
    (conversation, wishes)
}

/// A tool that is to be called must be there.
fn check_named_tool(fields: Fields<'_>) -> Result<(), ApiError> {
    let named = fields.within("tool_choice").filter(|choice| choice.text("type") == Some("tool"));
    let Some(name) = named.and_then(|choice| choice.text("name")) else { return Ok(()) };
    let is_there = fields.list("tools").iter().any(|tool| tool["name"] == name);
    if is_there { Ok(()) } else { Err(ApiError::unknown_tool(name)) }
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    content: Vec<Block>,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_sequence: Option<String>,
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    kv_transfer_params: Option<Value>,
}

/// A block of content, whole.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Thinking { thinking: String, signature: String },
    Text { text: String },
    ToolUse { id: String, name: String, input: Value },
}

/// Of an empty output, one empty text.
fn blocks(output: &CompletionOutput, envelope: &Envelope) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(thinking) = output.reasoning() {
        blocks.push(Block::Thinking { thinking: thinking.to_owned(), signature: signature(&envelope.id) });
    }
    if !output.text().is_empty() {
        blocks.push(Block::Text { text: output.text().to_owned() });
    }
    blocks.extend(output.tool_calls().map(|call| Block::ToolUse {
        id: call.id.clone(),
        name: call.name.clone(),
        // Cut arguments are no JSON.
        input: serde_json::from_str(&call.arguments).unwrap_or_else(|_| Value::Object(Map::new())),
    }));
    if blocks.is_empty() {
        blocks.push(Block::Text { text: String::new() });
    }
    blocks
}

/// 32 hex digits, the same for the same answer. No model signed anything.
fn signature(id: &str) -> String {
    let bytes: Vec<u64> = id.bytes().map(u64::from).collect();
    let half = |which: u64| seed::derive(Purpose::Id, &[&bytes[..], &[which]].concat());
    format!("{:016x}{:016x}", half(0), half(1))
}

/// `stop_reason` and `stop_sequence`.
fn stop(output: &CompletionOutput) -> (Option<&'static str>, Option<String>) {
    match (output.finish_reason(), output.stop_reason()) {
        (FinishReason::Length, _) => (Some("max_tokens"), None),
        (FinishReason::Abort, _) => (None, None),
        _ if output.tool_calls().next().is_some() => (Some("tool_use"), None),
        (_, Some(StopReason::Text(text))) => (Some("stop_sequence"), Some(text.clone())),
        _ => (Some("end_turn"), None),
    }
}

/// `usage`: what was cached counts apart, where it is told at all.
#[derive(Debug, Clone, Copy, Serialize)]
struct Usage {
    input_tokens: u32,
    output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_input_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u32>,
}

impl Usage {
    fn new(envelope: &Envelope, counts: TokenCounts) -> Self {
        let TokenCounts { completion_tokens, cached_tokens, created_cache_tokens, .. } = counts;
        let told = |n_tokens: u32| envelope.config.prompt_tokens_details.then_some(n_tokens);
        let (created, cached) = (told(created_cache_tokens), told(cached_tokens));
        Self {
            input_tokens: envelope.prompt_tokens - created.unwrap_or(0) - cached.unwrap_or(0),
            output_tokens: completion_tokens,
            cache_creation_input_tokens: created.filter(|n_tokens| *n_tokens > 0),
            cache_read_input_tokens: cached,
        }
    }
}

/// An error in Anthropic's shape. What is wrong with the body itself vLLM tells in OpenAI's.
pub(crate) fn failed(error: ApiError) -> Response {
    if matches!(error, ApiError::Fields(_) | ApiError::UnsupportedMediaType) {
        return error.into_response();
    }
    let body = ErrorBody::new(&error);
    error.with_body(&body)
}

/// `{"type": "error", …}`
#[derive(Debug, Serialize)]
struct ErrorBody {
    #[serde(rename = "type")]
    kind: &'static str,
    error: ErrorObject,
}

#[derive(Debug, Serialize)]
struct ErrorObject {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
}

impl ErrorBody {
    fn new(error: &ApiError) -> Self {
        let kind = match error.status().as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        };
        Self { kind: "error", error: ErrorObject { kind, message: error.to_string() } }
    }
}
