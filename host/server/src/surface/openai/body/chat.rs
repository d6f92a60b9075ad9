//! The body of `POST /v1/chat/completions`.

use rehearsal_engine::request::{ContentPart, Message, Tool, ToolCall, ToolChoice};
use serde_json::{Map, Value};

use super::{CommonFields, check_raw, check_stream_options};
use crate::config::RequestLimits;
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, integer};

/// What pydantic names first when a message has no role: the first of its union's branches.
const FIRST_MESSAGE_BRANCH: &str = "ChatCompletionDeveloperMessageParam";

/// A chat request, its types checked.
#[derive(Debug, Clone)]
pub struct ChatCompletionRequest {
    /// The conversation, oldest first; may be empty.
    pub messages: Vec<Message>,
    /// What it shares with text completions.
    pub common: CommonFields,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it may or must call.
    pub tool_choice: ToolChoice,
    /// More than one call at once.
    pub parallel_tool_calls: bool,
    /// `low`, `medium`, …
    pub reasoning_effort: Option<String>,
    /// The answer is to show its reasoning.
    pub include_reasoning: bool,
    /// The role of the last message, if the answer continues that; `None`: the server's usual role.
    pub continued_role: Option<String>,
}

impl ChatCompletionRequest {
    /// Reads a body. Contradictions that vLLM finds first are found first; then all wrong types together.
    pub fn read(object: &Map<String, Value>, limits: &RequestLimits) -> Result<Self, ApiError> {
        check_stream_options(object, false)?;
        check_logprobs(object)?;
        check_raw(object)?;
        check_tools(object)?;
        let mut fields = Fields::of_body(object);
        let messages = messages(&mut fields);
        let max_tokens = ["max_completion_tokens", "max_tokens"].map(|name| Some((name, fields.integer(name)?)));
        let mut common = CommonFields::read(&mut fields, max_tokens.into_iter().flatten().next(), limits);
        let top_logprobs = fields.integer("top_logprobs").unwrap_or(0);
        common.ranged.logprobs = fields.switch("logprobs").then_some(("top_logprobs", top_logprobs));
        let tools = tools(&mut fields);
        let begins_anew = fields.switch_or("add_generation_prompt", true);
        let continued = messages.last().filter(|_| !begins_anew);
        let request = Self {
            continued_role: continued.map(|message| message.role.clone()),
            messages,
            common,
            tool_choice: tool_choice(&mut fields, !tools.is_empty()),
            tools,
            parallel_tool_calls: fields.switch_or("parallel_tool_calls", true),
            reasoning_effort: fields
                .word("reasoning_effort", &["none", "minimal", "low", "medium", "high", "xhigh", "max"])
                .map(str::to_owned),
            include_reasoning: fields.switch_or("include_reasoning", true),
        };
        fields.finish()?;
        Ok(request)
    }
}

fn check_logprobs(object: &Map<String, Value>) -> Result<(), ApiError> {
    let top_logprobs = object.get("top_logprobs").and_then(|value| integer(value).ok()).unwrap_or(0);
    if top_logprobs < -1 {
        return Err(ApiError::invalid_value("top_logprobs", top_logprobs, "top_logprobs must be -1 or more"));
    }
    if top_logprobs != 0 && object.get("logprobs") != Some(&Value::Bool(true)) {
        return Err(ApiError::invalid_param("top_logprobs", "top_logprobs needs `logprobs` to be true"));
    }
    Ok(())
}

fn check_tools(object: &Map<String, Value>) -> Result<(), ApiError> {
    let tools = object.get("tools").filter(|tools| !tools.is_null());
    if tools.and_then(Value::as_array).is_some_and(Vec::is_empty) {
        return Err(ApiError::invalid_param("tools", "tools must not be an empty list: name a tool or leave it out"));
    }
    let choice = object.get("tool_choice").filter(|choice| !choice.is_null());
    if tools.is_none() && choice.is_some_and(|choice| choice != "none") {
        return Err(ApiError::invalid_param("tool_choice", "tool_choice needs `tools`"));
    }
    Ok(())
}

pub(super) fn messages(fields: &mut Fields<'_>) -> Vec<Message> {
    let Some(list) = fields.list("messages") else {
        if fields.raw("messages").is_none() {
            fields.missing("messages");
        }
        return Vec::new();
    };
    let mut messages = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let at = format!("messages.{index}");
        match value.as_object() {
            Some(object) => messages.push(fields.within(&at, object, |fields| message(fields))),
            None => fields.error(&format!("{at}.{FIRST_MESSAGE_BRANCH}"), "dict_type", "expected an object", value),
        }
    }
    messages
}

fn message(fields: &mut Fields<'_>) -> Message {
    if fields.raw("role").is_none() {
        fields.missing(&format!("{FIRST_MESSAGE_BRANCH}.role"));
    }
    Message {
        role: fields.string("role").unwrap_or_default().to_owned(),
        name: fields.string("name").map(str::to_owned),
        parts: content(fields),
        tool_calls: fields.list("tool_calls").unwrap_or_default().iter().map(tool_call).collect(),
        tool_call_id: fields.string("tool_call_id").map(str::to_owned),
    }
}

fn content(fields: &mut Fields<'_>) -> Vec<ContentPart> {
    match fields.raw("content") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![ContentPart::Text(text.clone())],
        Some(Value::Array(parts)) => parts.iter().map(part).collect(),
        Some(other) => {
            fields.error("content", "string_type", "expected a string or a list of parts", other);
            Vec::new()
        }
    }
}

fn part(value: &Value) -> ContentPart {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or("text");
    let text = value.as_str().or_else(|| value.get("text").and_then(Value::as_str));
    match (kind, text) {
        ("text" | "input_text" | "output_text", Some(text)) => ContentPart::Text(text.to_owned()),
        _ => ContentPart::Other { kind: kind.to_owned(), json: value.to_string() },
    }
}

fn tool_call(value: &Value) -> ToolCall {
    let function = &value["function"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ToolCall {
        id: value["id"].as_str().map(str::to_owned),
        name: text(&function["name"]),
        arguments: text(&function["arguments"]),
    }
}

fn tools(fields: &mut Fields<'_>) -> Vec<Tool> {
    let mut tools = Vec::new();
    for (index, value) in fields.list("tools").unwrap_or_default().iter().enumerate() {
        let function = &value["function"];
        match function["name"].as_str() {
            Some(name) => tools.push(Tool {
                name: name.to_owned(),
                description: function["description"].as_str().map(str::to_owned),
                parameters: function.get("parameters").map_or_else(|| "{}".into(), Value::to_string),
            }),
            None => fields.error(&format!("tools.{index}.function.name"), "missing", "a tool must have a name", value),
        }
    }
    tools
}

fn tool_choice(fields: &mut Fields<'_>, has_tools: bool) -> ToolChoice {
    let Some(value) = fields.raw("tool_choice") else {
        return if has_tools { ToolChoice::Auto } else { ToolChoice::None };
    };
    match (value.as_str(), value["function"]["name"].as_str()) {
        (Some("none"), _) => ToolChoice::None,
        (Some("auto"), _) => ToolChoice::Auto,
        (Some("required"), _) => ToolChoice::Required,
        (None, Some(name)) => ToolChoice::Function(name.to_owned()),
        _ => {
            fields.error("tool_choice", "literal_error", "expected none, auto, required or a named function", value);
            ToolChoice::None
        }
    }
}
