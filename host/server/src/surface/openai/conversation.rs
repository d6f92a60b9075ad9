//! Messages and tools in OpenAI's form.

use rehearsal_engine::request::{ContentPart, Message, Tool, ToolCall, ToolChoice};
use serde_json::{Map, Value, json};

use crate::prompts::conversation::Conversation;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;

/// What pydantic names first when a message has no role: the first of its union's branches.
const FIRST_MESSAGE_BRANCH: &str = "ChatCompletionDeveloperMessageParam";

/// Reads all that a chat template is given.
pub fn read(fields: &mut Fields<'_>) -> Conversation {
    Conversation {
        messages: messages(fields),
        tools: fields.raw("tools").and_then(Value::as_array).map(|tools| tools.iter().map(shown_tool).collect()),
        documents: fields.raw("documents").cloned(),
        add_generation_prompt: fields.switch_or("add_generation_prompt", true),
        continue_final_message: fields.switch("continue_final_message"),
        template_kwargs: fields.object("chat_template_kwargs").cloned().unwrap_or_default(),
    }
}

/// Fails if a conversation is to be continued and answered.
pub fn check(conversation: &Conversation) -> Result<(), ApiError> {
    if conversation.continue_final_message && conversation.add_generation_prompt {
        let message = "add_generation_prompt must be false where continue_final_message is true";
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

/// A tool as a template sees it: vLLM's own fields in vLLM's order, then what else there is.
fn shown_tool(tool: &Value) -> Value {
    let mut function = Map::new();
    for name in ["name", "description", "parameters"] {
        function.insert(name.into(), tool["function"].get(name).cloned().unwrap_or_default());
    }
    for (name, value) in tool["function"].as_object().into_iter().flatten() {
        function.entry(name.clone()).or_insert_with(|| value.clone());
    }
    json!({ "type": tool.get("type").cloned().unwrap_or("function".into()), "function": function })
}

fn messages(fields: &mut Fields<'_>) -> Vec<Message> {
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
        reasoning: fields
            .raw("reasoning")
            .or(fields.raw("reasoning_content"))
            .and_then(Value::as_str)
            .map(str::to_owned),
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

/// The functions that a model may call.
pub fn tools(fields: &mut Fields<'_>) -> Vec<Tool> {
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

/// Which of them it may or must call.
pub fn tool_choice(fields: &mut Fields<'_>, has_tools: bool) -> ToolChoice {
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
