//! Messages and tools in OpenAI's form, read after their types were checked.

use rehearsal_engine::request::{ContentPart, Message, Tool, ToolCall, ToolChoice};
use serde_json::{Map, Value, json};

use crate::prompts::conversation::Conversation;
use crate::prompts::media;
use crate::wire::fields::{Fields, is_truthy};

/// Reads all that a chat template is given.
pub fn read(fields: Fields<'_>) -> Conversation {
    Conversation {
        messages: fields
            .list("messages")
            .iter()
            .filter_map(Value::as_object)
            .map(|object| message(Fields(object)))
            .collect(),
        tools: fields.raw("tools").and_then(Value::as_array).map(|tools| tools.iter().map(shown_tool).collect()),
        documents: fields.raw("documents").cloned(),
        add_generation_prompt: fields.switch_or("add_generation_prompt", true),
        continue_final_message: fields.switch("continue_final_message"),
        chat_template: fields.string("chat_template"),
        media_kwargs: ["media_io_kwargs", "mm_processor_kwargs"]
            .into_iter()
            .find(|name| is_truthy(fields.0.get(*name))),
        template_kwargs: fields.object("chat_template_kwargs").cloned().unwrap_or_default(),
    }
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

fn message(fields: Fields<'_>) -> Message {
    Message {
        role: fields.text("role").unwrap_or_default().to_owned(),
        name: fields.string("name"),
        parts: content(fields.raw("content")),
        tool_calls: fields.list("tool_calls").iter().map(tool_call).collect(),
        tool_call_id: fields.string("tool_call_id"),
        reasoning: fields.string("reasoning").or_else(|| fields.string("reasoning_content")),
    }
}

fn content(content: Option<&Value>) -> Vec<ContentPart> {
    match content {
        Some(Value::String(text)) => vec![ContentPart::Text(text.clone())],
        Some(Value::Array(parts)) => parts.iter().map(part).collect(),
        _ => Vec::new(),
    }
}

fn part(value: &Value) -> ContentPart {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_else(|| kind_of(value));
    let text = value.as_str().or_else(|| value.get("text").and_then(Value::as_str));
    match (kind, text) {
        ("text" | "input_text" | "output_text", Some(text)) => ContentPart::Text(text.to_owned()),
        ("image_url" | "audio_url" | "video_url", _) => {
            let url = value[kind].as_str().or_else(|| value[kind]["url"].as_str());
            media::part(kind, url.unwrap_or_default())
        }
        ("input_audio", _) => media::part(kind, value[kind]["data"].as_str().unwrap_or_default()),
        _ => ContentPart::Other { kind: kind.to_owned(), json: value.to_string() },
    }
}

/// A part may leave its kind to be seen from its one field.
fn kind_of(value: &Value) -> &'static str {
    let kinds = ["image_url", "audio_url", "input_audio", "video_url"];
    kinds.into_iter().find(|kind| value.get(kind).is_some()).unwrap_or("text")
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
pub fn tools(fields: Fields<'_>) -> Vec<Tool> {
    let tool = |value: &Value| {
        let function = &value["function"];
        Some(Tool {
            name: function["name"].as_str()?.to_owned(),
            description: function["description"].as_str().map(str::to_owned),
            parameters: function
                .get("parameters")
                .filter(|schema| !schema.is_null())
                .map_or("{}".into(), Value::to_string),
        })
    };
    fields.list("tools").iter().filter_map(tool).collect()
}

/// Which of them it may or must call.
pub fn tool_choice(fields: Fields<'_>, has_tools: bool) -> ToolChoice {
    match fields.raw("tool_choice") {
        None if fields.0.contains_key("tool_choice") || !has_tools => ToolChoice::None,
        None => ToolChoice::Auto,
        Some(Value::String(word)) if word == "auto" => ToolChoice::Auto,
        Some(Value::String(word)) if word == "required" => ToolChoice::Required,
        Some(choice) => {
            choice["function"]["name"].as_str().map_or(ToolChoice::None, |name| ToolChoice::Function(name.into()))
        }
    }
}
