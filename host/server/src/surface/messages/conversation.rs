//! Anthropic's messages as the conversation that a chat template renders, as vLLM converts them.

use rehearsal_engine::request::{ContentPart, Message, Tool, ToolCall};
use serde_json::{Map, Value, json};

use crate::prompts::conversation::Conversation;
use crate::prompts::media;
use crate::wire::fields::Fields;

/// Client software puts a block of its own there, which no model is to see.
const BILLING_HEADER: &str = "x-anthropic-billing-header";

/// Reads all that a chat template is given.
pub(super) fn read(fields: Fields<'_>) -> Conversation {
    let mut messages = Vec::new();
    let system = fields.raw("system").map(system_text).unwrap_or_default();
    if !system.is_empty() {
        messages.push(Message::text("system", system));
    }
    for message in fields.list("messages").iter().filter_map(Value::as_object) {
        read_message(Fields(message), &mut messages);
    }
    let tools = fields.list("tools");
    Conversation {
        tools: (!tools.is_empty()).then(|| tools.iter().map(shown_tool).collect()),
        template_kwargs: fields.object("chat_template_kwargs").cloned().unwrap_or_default(),
        ..Conversation::new(messages)
    }
}

/// The functions that a model may call.
pub(super) fn tools(fields: Fields<'_>) -> Vec<Tool> {
    let tool = |tool: &Value| {
        Some(Tool {
            name: tool["name"].as_str()?.to_owned(),
            description: tool["description"].as_str().map(str::to_owned),
            parameters: input_schema(tool).to_string(),
        })
    };
    fields.list("tools").iter().filter_map(tool).collect()
}

fn shown_tool(tool: &Value) -> Value {
    let function =
        json!({ "name": tool["name"], "description": tool["description"], "parameters": input_schema(tool) });
    json!({ "type": "function", "function": function })
}

/// A schema is one of an object, whether or not it says so.
fn input_schema(tool: &Value) -> Value {
    let mut schema = tool["input_schema"].as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert("object".into());
    Value::Object(schema)
}

/// One after the other, nothing between them.
fn system_text(system: &Value) -> String {
    match system {
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            texts.filter(|text| !text.starts_with(BILLING_HEADER)).collect()
        }
        text => text.as_str().unwrap_or_default().to_owned(),
    }
}

/// Results of tools become messages of their own, before the message that they are in.
fn read_message(fields: Fields<'_>, messages: &mut Vec<Message>) {
    let role = fields.text("role").unwrap_or_default();
    let blocks = match fields.raw("content") {
        Some(Value::Array(_)) if role == "system" => {
            return messages.push(Message::text(role, system_text(&fields.0["content"])));
        }
        Some(Value::Array(blocks)) => blocks,
        Some(Value::String(text)) => return messages.push(Message::text(role, text.clone())),
        _ => return,
    };
    let mut message = Message { role: role.to_owned(), ..Message::default() };
    for block in blocks.iter().filter_map(Value::as_object) {
        let block = Fields(block);
        match block.text("type") {
            Some("text") => {
                let text = block.text("text").filter(|text| !text.is_empty());
                message.parts.extend(text.map(|text| ContentPart::Text(text.to_owned())));
            }
            Some("image") => message.parts.extend(block.object("source").map(image)),
            Some("thinking") => {
                let before = message.reasoning.take().unwrap_or_default();
                message.reasoning = Some(before + block.text("thinking").unwrap_or_default());
            }
            Some("tool_use") => message.tool_calls.push(tool_call(block)),
            Some("tool_result") if role == "assistant" => {
                let text = format!("Tool result: {}", result_text(block));
                message.parts.push(ContentPart::Text(text));
            }
            Some("tool_result") => {
                messages.push(Message {
                    tool_call_id: block.string("tool_use_id"),
                    ..Message::text("tool", result_text(block))
                });
                let images: Vec<_> =
                    block.list("content").iter().filter_map(|part| part["source"].as_object()).collect();
                if !images.is_empty() {
                    let parts = images.into_iter().map(image).collect();
                    messages.push(Message { role: "user".into(), parts, ..Message::default() });
                }
            }
            _ => {}
        }
    }
    let is_empty = message.parts.is_empty() && message.tool_calls.is_empty() && message.reasoning.is_none();
    if !is_empty || role == "assistant" {
        messages.push(message);
    }
}

fn image(source: &Map<String, Value>) -> ContentPart {
    let source = Fields(source);
    let url = source.string("url").unwrap_or_else(|| {
        let media_type = source.text("media_type").unwrap_or("image/jpeg");
        format!("data:{media_type};base64,{}", source.text("data").unwrap_or_default())
    });
    media::part("image_url", &url)
}

fn tool_call(block: Fields<'_>) -> ToolCall {
    let input = block.object("input").cloned().unwrap_or_default();
    ToolCall {
        id: block.string("id"),
        name: block.text("name").unwrap_or_default().to_owned(),
        arguments: Value::Object(input).to_string(),
    }
}

/// Texts of a result, a line each.
fn result_text(block: Fields<'_>) -> String {
    match block.raw("content") {
        Some(Value::String(text)) => text.clone(),
        _ => {
            let texts: Vec<_> = block.list("content").iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
    }
}
