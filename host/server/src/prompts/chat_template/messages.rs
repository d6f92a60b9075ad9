//! A conversation as vLLM hands it to a template: not quite as the client sent it.

use minijinja::value::Serde;
use minijinja::{Value, context};
use rehearsal_engine::request::{ContentPart, Message, ToolCall};

use crate::config::ContentFormat;
use crate::prompts::conversation::{Conversation, text_of};

/// What a template expects of a message's content; vLLM finds it out the same way, from its source.
pub(super) fn expected_format(template: &str) -> ContentFormat {
    let loops = template.split("{%").any(|tag| {
        let tag = tag.split("%}").next().unwrap_or_default().trim_matches(['-', '+', ' ', '\n']);
        let over = tag.strip_prefix("for ").and_then(|rest| rest.split_once(" in ")).map(|(_, over)| over.trim());
        over.is_some_and(|over| {
            let over = over.split([' ', '|']).next().unwrap_or_default();
            over == "content"
                || over.ends_with(".content")
                || over.ends_with("['content']")
                || over.ends_with("[\"content\"]")
        })
    });
    if loops { ContentFormat::Parts } else { ContentFormat::Text }
}

/// The variables of a template. Those that the request names come last, and win.
pub(super) fn variables(
    conversation: &Conversation,
    format: ContentFormat,
) -> impl Iterator<Item = (&str, Value)> + use<'_> {
    let messages: Value = conversation.messages.iter().map(|message| message_value(message, format)).collect();
    let own = [
        ("messages", messages),
        ("tools", conversation.tools.as_ref().map(|tools| Value::from(Serde(tools))).into()),
        ("documents", conversation.documents.as_ref().map(|documents| Value::from(Serde(documents))).into()),
        ("add_generation_prompt", conversation.add_generation_prompt.into()),
    ];
    let named = conversation.template_kwargs.iter();
    own.into_iter().chain(named.map(|(name, value)| (name.as_str(), Value::from(Serde(value)))))
}

fn message_value(message: &Message, format: ContentFormat) -> Value {
    let content = match format {
        ContentFormat::Text => Value::from(text_of(message)),
        ContentFormat::Parts => message.parts.iter().map(part_value).collect(),
    };
    let mut value = vec![("role", Value::from(&message.role)), ("content", content)];
    let mut add = |name, field: Option<Value>| value.extend(field.map(|field| (name, field)));
    let calls = Some(&message.tool_calls).filter(|calls| !calls.is_empty());
    add("tool_calls", calls.map(|calls| calls.iter().map(call_value).collect()));
    add("tool_call_id", message.tool_call_id.as_ref().map(Value::from));
    add("name", message.name.as_ref().map(Value::from));
    add("reasoning", message.reasoning.as_ref().map(Value::from));
    add("reasoning_content", message.reasoning.as_ref().map(Value::from));
    Value::from_pairs(value)
}

fn part_value(part: &ContentPart) -> Value {
    match part {
        ContentPart::Text(text) => context! { type => "text", text },
        // `image` for an `image_url`, and so on.
        ContentPart::Media { kind, .. } | ContentPart::Other { kind, .. } => {
            context! { type => kind.trim_start_matches("input_").trim_end_matches("_url") }
        }
    }
}

/// Arguments that are JSON are shown as what they mean.
fn call_value(call: &ToolCall) -> Value {
    let text = Some(call.arguments.as_str()).filter(|arguments| !arguments.is_empty()).unwrap_or("{}");
    let arguments = serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::from(text));
    let function = context! { name => &call.name, arguments };
    context! { id => &call.id, type => "function", function }
}
