//! Requests that a plugin may meet, though its author may not have thought of them.

use std::sync::Arc;

use rehearsal_engine::request::{ContentPart, Message, Tool, ToolCall, ToolChoice};
use rehearsal_engine::{Endpoint, GenerationRequest, Prompt, PromptContent, SamplingParams};
use serde_json::{Value, json};

use super::formats;

/// Each with what is special about it.
pub(super) fn all() -> Vec<(&'static str, Arc<GenerationRequest>)> {
    let sampled = |sampling: SamplingParams| GenerationRequest { sampling, ..chat("Tell me a story.") };
    let limited = |max_tokens: u32| SamplingParams { max_tokens: Some(max_tokens), ..Default::default() };
    let mut requests = vec![
        ("a plain request", chat("Hello there!")),
        ("max_tokens 1", sampled(limited(1))),
        ("8 choices", sampled(SamplingParams { n: 8, ..limited(20) })),
        ("ignore_eos and min_tokens", sampled(SamplingParams { min_tokens: 50, ignore_eos: true, ..limited(50) })),
        ("an empty prompt", chat("")),
        ("no message of a user", conversation(vec![Message { role: "system".into(), ..Default::default() }])),
        ("no message at all", conversation(Vec::new())),
        ("Unicode", chat("नमस्ते 👩‍👩‍👧‍👦 e\u{301} \u{202e}abc\u{202c} \u{0} Ω≈ç√ 你好")),
        ("a prompt of 128k tokens", chat(&"word ".repeat(128_000))),
        ("a text completion", text("Once upon a time")),
        ("an empty text completion", text("")),
        ("a prompt of token ids", token_ids()),
        ("a conversation with calls, results, media and odd roles", conversation(every_kind_of_message())),
        ("64 headers", headers()),
    ];
    requests.extend(offers());
    requests.extend(formats::all().map(|(what, format)| {
        let mut request = chat("Say it as I want it.");
        request.wishes.format = format;
        (what, request)
    }));
    requests.into_iter().map(|(what, request)| (what, Arc::new(request))).collect()
}

fn chat(text: &str) -> GenerationRequest {
    conversation(vec![Message::user(text)])
}

fn conversation(messages: Vec<Message>) -> GenerationRequest {
    let n_tokens = messages.iter().flat_map(Message::texts).map(|text| text.split(' ').count() as u32).sum();
    GenerationRequest::new(Endpoint::ChatCompletions, Prompt::counted(PromptContent::Chat(messages), n_tokens))
}

fn text(text: &str) -> GenerationRequest {
    let prompt = Prompt::counted(PromptContent::Text(text.into()), 4);
    GenerationRequest::new(Endpoint::Completions, prompt)
}

fn token_ids() -> GenerationRequest {
    let ids = vec![0, 1, 42, u32::MAX];
    GenerationRequest::new(Endpoint::Completions, Prompt::counted(PromptContent::TokenIds(ids), 4))
}

fn every_kind_of_message() -> Vec<Message> {
    let other = |kind: &str| ContentPart::Other { kind: kind.into(), json: json!({ "type": kind }).to_string() };
    let call = ToolCall { id: Some("call-1".into()), name: "add".into(), arguments: "{}".into() };
    let of = |role: &str, parts: Vec<ContentPart>| Message { role: role.into(), parts, ..Default::default() };
    vec![
        of("developer", vec![ContentPart::Text("Be brief.".into())]),
        of("user", vec![ContentPart::Text("look: ".into()), other("image_url"), other("hologram")]),
        Message { tool_calls: vec![call], ..of("assistant", Vec::new()) },
        Message { tool_call_id: Some("call-1".into()), ..of("tool", vec![ContentPart::Text("3".into())]) },
        Message { name: Some("Ann".into()), ..of("narrator", vec![ContentPart::Text("Meanwhile".into())]) },
    ]
}

fn headers() -> GenerationRequest {
    let headers = (0..64).map(|n| (format!("x-rehearsal-{n}"), "ä".repeat(n))).collect();
    GenerationRequest { headers, ..chat("Hello there!") }
}

/// Tools with schemas of every kind, offered in each way.
fn offers() -> Vec<(&'static str, GenerationRequest)> {
    let offer = |tool_choice: ToolChoice, parallel: bool| {
        let mut request = chat("Do what you can.");
        request.wishes.tools = tools();
        request.wishes.tool_choice = tool_choice;
        request.wishes.parallel_tool_calls = parallel;
        request
    };
    let mut unsatisfiable = offer(ToolChoice::Required, true);
    unsatisfiable.wishes.tools.truncate(1);
    unsatisfiable.wishes.tools[0].parameters = json!({ "type": "object", "not": {} }).to_string();
    vec![
        ("64 tools with odd schemas, auto", offer(ToolChoice::Auto, true)),
        ("64 tools with odd schemas, required", offer(ToolChoice::Required, true)),
        ("64 tools with odd schemas, not in parallel", offer(ToolChoice::Required, false)),
        ("one of 64 tools, by name", offer(ToolChoice::Function("tool_5".into()), true)),
        ("a tool whose schema nothing satisfies", unsatisfiable),
    ]
}

fn tools() -> Vec<Tool> {
    let schemas = odd_schemas();
    let tool = |(n, schema): (usize, &Value)| Tool {
        name: format!("tool_{n}"),
        description: (n % 2 == 0).then(|| "whatever".into()),
        parameters: schema.to_string(),
    };
    schemas.iter().cycle().take(64).enumerate().map(tool).collect()
}

fn odd_schemas() -> Vec<Value> {
    let of = |properties: Value| {
        let required: Vec<_> = properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        json!({ "type": "object", "properties": properties, "required": required })
    };
    vec![
        json!({}),
        json!({ "type": "object" }),
        of(json!({ "a": { "type": "integer", "minimum": -3, "exclusiveMaximum": -2 } })),
        of(json!({ "a": { "enum": [null, 1, "ü", [], {}] }, "b": { "const": { "c": [1] } } })),
        of(json!({ "": { "type": "string", "maxLength": 0 }, "ключ": { "type": ["null", "boolean"] } })),
        of(
            json!({ "when": { "type": "string", "format": "date-time" }, "id": { "type": "string", "format": "uuid" } }),
        ),
        of(json!({ "a": { "type": "string", "pattern": "^[a-f]{3}-\\d+$" } })),
        of(json!({ "a": { "type": "array", "items": { "type": "integer" }, "minItems": 12, "uniqueItems": true } })),
        of(json!({ "a": { "anyOf": [{ "type": "string" }, { "type": "number", "multipleOf": 0.5 }] } })),
        json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/b" } }, "required": ["a"],
                "$defs": { "b": { "allOf": [{ "type": "integer" }, { "minimum": 7 }] } } }),
    ]
}
