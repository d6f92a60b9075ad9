//! A conversation as vLLM hands it to a template: not quite as the client sent it. Read from the body once more, because
//! templates show the order of keys.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use crate::config::ContentFormat;
use crate::wire::errors::ApiError;

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

/// What a template renders.
#[derive(Debug)]
pub(super) struct Conversation {
    messages: Value,
    tools: Option<Value>,
    add_generation_prompt: bool,
    /// The text that ends the rendered text.
    continued: Option<String>,
    documents: Option<Value>,
    more: BTreeMap<String, Value>,
}

/// The fields of a body that reach the template.
#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    messages: Vec<WireMessage>,
    tools: Option<Vec<WireTool>>,
    add_generation_prompt: Option<bool>,
    continue_final_message: Option<bool>,
    documents: Option<Value>,
    chat_template_kwargs: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct WireMessage {
    #[serde(default)]
    role: String,
    content: Option<WireContent>,
    tool_calls: Option<Vec<WireCall>>,
    tool_call_id: Option<String>,
    name: Option<String>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WireContent {
    Text(String),
    Parts(Vec<WirePart>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WirePart {
    Bare(String),
    Part {
        #[serde(rename = "type")]
        kind: Option<String>,
        text: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
struct WireCall {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    function: WireFunction,
}

#[derive(Debug, Deserialize)]
struct WireFunction {
    name: String,
    arguments: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WireTool {
    #[serde(rename = "type")]
    kind: Option<String>,
    function: ToolFunction,
}

/// In the order of vLLM's own fields; what else there is follows.
#[derive(Debug, Deserialize, Serialize)]
struct ToolFunction {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

impl Conversation {
    /// Reads the body of a chat or tokenize request, whose types were checked before.
    pub(super) fn read(body: &[u8], format: ContentFormat) -> Result<Self, ApiError> {
        let body: Body = serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid(format!("the messages do not fit the chat template: {error}")))?;
        let continues = body.continue_final_message.unwrap_or(false);
        let add_generation_prompt = body.add_generation_prompt.unwrap_or(true);
        if continues && add_generation_prompt {
            let message = "add_generation_prompt must be false where continue_final_message is true";
            return Err(ApiError::invalid(message));
        }
        let continued = body.messages.last().filter(|_| continues).map(|last| last.text().trim().to_owned());
        Ok(Self {
            messages: body.messages.iter().map(|message| message.value(format)).collect(),
            tools: body.tools.map(|tools| tools.into_iter().map(WireTool::value).collect()),
            add_generation_prompt,
            continued,
            documents: body.documents,
            more: body.chat_template_kwargs.unwrap_or_default(),
        })
    }

    pub(super) fn has_tools(&self) -> bool {
        self.tools.is_some()
    }

    /// The variables of a template. `chat_template_kwargs` come last, and win.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, Value)> {
        let own = [
            ("messages", self.messages.clone()),
            ("tools", self.tools.clone().into()),
            ("documents", self.documents.clone().into()),
            ("add_generation_prompt", self.add_generation_prompt.into()),
        ];
        own.into_iter().chain(self.more.iter().map(|(name, value)| (name.as_str(), value.clone())))
    }

    /// Up to the end of the message that is to be continued.
    pub(super) fn trimmed(&self, mut text: String) -> String {
        if let Some(continued) = &self.continued
            && let Some(at) = text.rfind(continued.as_str())
        {
            text.truncate(at + continued.len());
        }
        text
    }
}

impl WireMessage {
    /// All texts, a line each.
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(WireContent::Text(text)) => text.clone(),
            Some(WireContent::Parts(parts)) => parts.iter().filter_map(WirePart::text).collect::<Vec<_>>().join("\n"),
        }
    }

    fn parts(&self) -> Vec<Value> {
        let text = |text: &str| context! { type => "text", text };
        match &self.content {
            None => Vec::new(),
            Some(WireContent::Text(content)) => vec![text(content)],
            Some(WireContent::Parts(parts)) => parts
                .iter()
                .map(|part| match part.text() {
                    Some(content) => text(content),
                    None => context! { type => part.media() },
                })
                .collect(),
        }
    }

    fn value(&self, format: ContentFormat) -> Value {
        let content = match format {
            ContentFormat::Text => Value::from(self.text()),
            ContentFormat::Parts => Value::from(self.parts()),
        };
        let mut message = vec![("role", Value::from(&self.role)), ("content", content)];
        let mut add = |name, value: Option<Value>| message.extend(value.map(|value| (name, value)));
        add("tool_calls", self.tool_calls.as_ref().map(|calls| calls.iter().map(WireCall::value).collect()));
        add("tool_call_id", self.tool_call_id.as_ref().map(Value::from));
        add("name", self.name.as_ref().map(Value::from));
        let reasoning = self.reasoning.as_ref().or(self.reasoning_content.as_ref());
        add("reasoning", reasoning.map(Value::from));
        add("reasoning_content", reasoning.map(Value::from));
        Value::from_pairs(message)
    }
}

impl WirePart {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Bare(text) => Some(text),
            Self::Part { text, .. } => text.as_deref(),
        }
    }

    /// `image` for an `image_url`, and so on.
    fn media(&self) -> &str {
        match self {
            Self::Bare(_) => "text",
            Self::Part { kind, .. } => {
                let kind = kind.as_deref().unwrap_or("text");
                kind.trim_start_matches("input_").trim_end_matches("_url")
            }
        }
    }
}

impl WireCall {
    /// Arguments that are JSON are shown as what they mean.
    fn value(&self) -> Value {
        let text = self.function.arguments.as_deref().filter(|arguments| !arguments.is_empty()).unwrap_or("{}");
        let arguments = serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::from(text));
        let function = context! { name => &self.function.name, arguments };
        let kind = self.kind.as_deref().unwrap_or("function");
        context! { id => &self.id, type => kind, function }
    }
}

impl WireTool {
    fn value(self) -> Value {
        let kind = self.kind.unwrap_or_else(|| "function".into());
        context! { type => kind, function => Value::from(Serde(&self.function)) }
    }
}
