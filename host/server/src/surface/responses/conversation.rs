//! Items of a response's input as the conversation that a chat template renders, as vLLM converts them.

use rehearsal_engine::request::{ContentPart, Message, Tool, ToolCall};
use serde_json::{Value, json};

use crate::prompts::conversation::Conversation;
use crate::prompts::media;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;

/// What a template is given, but for what an earlier response said.
pub(super) fn read(fields: Fields<'_>) -> Result<Conversation, ApiError> {
    let mut messages = Vec::new();
    let instructions = fields.text("instructions");
    messages.extend(instructions.map(|text| Message::text("system", text)));
    let n_instructions = messages.len();
    let mut continues = false;
    match fields.raw("input") {
        Some(Value::Array(items)) => {
            for item in items.iter().filter_map(Value::as_object) {
                read_item(Fields(item), &mut messages, n_instructions)?;
                let is_assistant = item.get("role").is_some_and(|role| role == "assistant")
                    || item.get("type").is_some_and(|kind| kind == "reasoning");
                let status = item.get("status").and_then(Value::as_str);
                continues = is_assistant && matches!(status, Some("in_progress" | "incomplete"));
            }
        }
        text => messages.push(Message::user(text.and_then(Value::as_str).unwrap_or_default())),
    }
    let tools: Vec<_> = fields.list("tools").iter().filter_map(shown_tool).collect();
    let conversation = Conversation {
        tools: (!fields.list("tools").is_empty()).then_some(tools),
        add_generation_prompt: !continues,
        continue_final_message: continues,
        template_kwargs: fields.object("chat_template_kwargs").cloned().unwrap_or_default(),
        media_kwargs: ["media_io_kwargs", "mm_processor_kwargs"]
            .into_iter()
            .find(|name| fields.object(name).is_some_and(|kwargs| !kwargs.is_empty())),
        ..Conversation::new(messages)
    };
    let reasoning = fields.within("reasoning");
    Ok(conversation.with_effort(reasoning.and_then(|reasoning| reasoning.text("effort"))))
}

/// What goes on from an earlier response: its conversation, without its instructions, and what it answered.
pub(super) fn continued(mut conversation: Conversation, earlier: &[Message]) -> Conversation {
    let at = usize::from(conversation.messages.first().is_some_and(|first| first.role == "system"));
    let earlier = earlier.iter().filter(|message| message.role != "system").cloned();
    conversation.messages.splice(at..at, earlier);
    conversation
}

/// The functions that a model may call.
pub(super) fn tools(fields: Fields<'_>) -> Vec<Tool> {
    let tool = |tool: &Value| {
        let function = &shown_tool(tool)?["function"];
        Some(Tool {
            name: function["name"].as_str()?.to_owned(),
            description: function["description"].as_str().map(str::to_owned),
            parameters: if function["parameters"].is_null() { "{}".into() } else { function["parameters"].to_string() },
        })
    };
    fields.list("tools").iter().filter_map(tool).collect()
}

/// Functions, and custom tools as functions of one text; what runs on OpenAI's servers is not shown.
fn shown_tool(tool: &Value) -> Option<Value> {
    let parameters = match tool["type"].as_str()? {
        "function" => tool["parameters"].clone(),
        "custom" => json!({
            "type": "object",
            "properties": { "input": { "type": "string", "description": "What the tool is given, as text." } },
            "required": ["input"],
            "additionalProperties": false,
        }),
        _ => return None,
    };
    let mut function = json!({ "name": tool["name"], "description": tool["description"], "parameters": parameters });
    if !tool["strict"].is_null() {
        function["strict"] = tool["strict"].clone();
    }
    Some(json!({ "type": "function", "function": function }))
}

/// What an assistant thought, said and called, one after the other, is one message. `n_before`: messages that no item
/// belongs to.
fn read_item(item: Fields<'_>, messages: &mut Vec<Message>, n_before: usize) -> Result<(), ApiError> {
    let unsupported = |kind: &str| {
        Err(ApiError::invalid_param("input", format!("input items of the type {kind:?} are not simulated")))
    };
    match item.text("type").unwrap_or("message") {
        "message" => {
            let role = item.text("role").unwrap_or_default();
            let parts = match item.raw("content") {
                Some(Value::Array(parts)) => parts.iter().filter_map(part).collect(),
                content => vec![ContentPart::Text(content.and_then(Value::as_str).unwrap_or_default().to_owned())],
            };
            if role == "assistant"
                && let Some(last) = last_of_assistant(messages, n_before).filter(|last| last.parts.is_empty())
            {
                last.parts = parts;
            } else {
                messages.push(Message { role: role.to_owned(), parts, ..Message::default() });
            }
        }
        "reasoning" => {
            if item.raw("encrypted_content").is_some() {
                return Err(ApiError::invalid_param("input", "input: encrypted reasoning cannot be read"));
            }
            let texts = [item.list("content"), item.list("summary")].into_iter().flatten();
            let text = texts.filter_map(|part| part["text"].as_str()).next().unwrap_or_default().to_owned();
            match last_of_assistant(messages, n_before).filter(|last| last.reasoning.is_none()) {
                Some(last) => last.reasoning = Some(text),
                None => {
                    messages.push(Message { role: "assistant".into(), reasoning: Some(text), ..Message::default() });
                }
            }
        }
        kind @ ("function_call" | "custom_tool_call") => {
            let arguments = match kind {
                "custom_tool_call" => json!({ "input": item.text("input").unwrap_or_default() }).to_string(),
                _ => item.text("arguments").unwrap_or_default().to_owned(),
            };
            let name = item.text("name").unwrap_or_default();
            let name = item.text("namespace").map_or(name.to_owned(), |space| format!("{space}__{name}"));
            let call = ToolCall { id: item.string("call_id"), name, arguments };
            match last_of_assistant(messages, n_before) {
                Some(last) => last.tool_calls.push(call),
                None => {
                    messages.push(Message { role: "assistant".into(), tool_calls: vec![call], ..Message::default() });
                }
            }
        }
        "function_call_output" | "custom_tool_call_output" => {
            let parts = match item.raw("output") {
                Some(Value::Array(parts)) => parts.iter().filter_map(part).collect(),
                Some(Value::String(text)) => vec![ContentPart::Text(text.clone())],
                output => output.map(|output| ContentPart::Text(output.to_string())).into_iter().collect(),
            };
            let tool_call_id = item.string("call_id");
            messages.push(Message { role: "tool".into(), parts, tool_call_id, ..Message::default() });
        }
        kind => return unsupported(kind),
    }
    Ok(())
}

fn last_of_assistant(messages: &mut [Message], n_before: usize) -> Option<&mut Message> {
    messages[n_before..].last_mut().filter(|last| last.role == "assistant")
}

fn part(part: &Value) -> Option<ContentPart> {
    let kind = part["type"].as_str().unwrap_or("input_text");
    Some(match kind {
        "input_image" => media::part("image_url", part["image_url"].as_str().unwrap_or_default()),
        "input_audio" => media::part(kind, part[kind]["data"].as_str().unwrap_or_default()),
        _ => match part["text"].as_str() {
            Some(text) => ContentPart::Text(text.to_owned()),
            None => ContentPart::Other { kind: kind.to_owned(), json: part.to_string() },
        },
    })
}
