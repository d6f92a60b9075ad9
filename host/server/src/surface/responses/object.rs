//! A response as an object, in vLLM's order of keys, its nulls present.

use rehearsal_engine::request::ToolChoice;
use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{CompletionOutput, FinishReason, OutputCall};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::generate::{Envelope, RequestMetrics, TokenCounts};
use crate::wire::fields::Fields;

/// What a response repeats of its request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Echo {
    pub(super) instructions: Value,
    pub(super) metadata: Value,
    pub(super) parallel_tool_calls: bool,
    pub(super) temperature: f64,
    pub(super) tool_choice: Value,
    pub(super) tools: Vec<Value>,
    pub(super) top_p: f64,
    pub(super) background: bool,
    pub(super) max_tool_calls: Value,
    pub(super) previous_response_id: Value,
    pub(super) prompt_cache_options: Value,
    pub(super) prompt_cache_key: Value,
    pub(super) prompt_cache_retention: Value,
    pub(super) reasoning: Value,
    pub(super) safety_identifier: Value,
    pub(super) service_tier: Value,
    pub(super) text: Value,
    pub(super) top_logprobs: Option<i64>,
    pub(super) truncation: Value,
    pub(super) user: Value,
    pub(super) presence_penalty: f64,
    pub(super) frequency_penalty: f64,
    /// The response tells what the model read and wrote.
    pub(super) messages: bool,
}

impl Echo {
    /// As vLLM understands the request: what is not given has its default, what has no effect is told as such.
    pub(super) fn read(fields: Fields<'_>, tool_choice: &ToolChoice, top_logprobs: Option<i64>) -> Self {
        let given = |name: &str| fields.raw(name).cloned().unwrap_or_default();
        let or = |name: &str, default: &str| fields.raw(name).cloned().unwrap_or_else(|| default.into());
        let temperature = fields.number("temperature").unwrap_or(1.0);
        let is_greedy = temperature == 0.0;
        let forces_a_call = matches!(tool_choice, ToolChoice::Required | ToolChoice::Function(_));
        Self {
            instructions: given("instructions"),
            metadata: given("metadata"),
            parallel_tool_calls: fields.switch_or("parallel_tool_calls", true),
            temperature: if is_greedy { 0.0 } else { temperature.max(0.01) },
            tool_choice: match tool_choice {
                ToolChoice::None if fields.list("tools").is_empty() => "none".into(),
                ToolChoice::Function(name) => json!({ "name": name, "type": "function" }),
                _ => or("tool_choice", "auto"),
            },
            tools: fields.list("tools").iter().map(tool).collect(),
            top_p: if is_greedy { 1.0 } else { fields.number("top_p").unwrap_or(1.0) },
            background: fields.switch("background"),
            max_tool_calls: given("max_tool_calls"),
            previous_response_id: given("previous_response_id"),
            prompt_cache_options: fields.within("prompt_cache_options").map_or(Value::Null, |options| {
                let mode = options.text("mode").unwrap_or("implicit");
                let ttl = options.text("ttl").unwrap_or("30m");
                let compared = options.raw("comparison_response_id");
                json!({ "mode": mode, "ttl": ttl, "comparison_response_id": compared })
            }),
            prompt_cache_key: given("prompt_cache_key"),
            prompt_cache_retention: given("prompt_cache_retention"),
            reasoning: with_keys(fields, "reasoning", &["context", "effort", "generate_summary", "mode", "summary"]),
            safety_identifier: given("safety_identifier"),
            service_tier: or("service_tier", "auto"),
            // Where a call is demanded, vLLM's grammar of calls takes the place of the format.
            text: if forces_a_call { Value::Null } else { text(fields) },
            top_logprobs,
            truncation: or("truncation", "disabled"),
            user: given("user"),
            presence_penalty: fields.number("presence_penalty").unwrap_or(0.0),
            frequency_penalty: fields.number("frequency_penalty").unwrap_or(0.0),
            messages: fields.switch("enable_response_messages"),
        }
    }
}

/// An object of the request with these keys first, null where it lacks them; null if there is none.
fn with_keys(fields: Fields<'_>, name: &str, keys: &[&str]) -> Value {
    fields.object(name).map_or(Value::Null, |object| ordered(object, keys))
}

fn ordered(object: &Map<String, Value>, keys: &[&str]) -> Value {
    let mut shown: Map<_, _> =
        keys.iter().map(|key| ((*key).to_owned(), object.get(*key).cloned().unwrap_or_default())).collect();
    for (key, value) in object {
        shown.entry(key.clone()).or_insert_with(|| value.clone());
    }
    Value::Object(shown)
}

fn tool(tool: &Value) -> Value {
    const KEYS: [&str; 9] = [
        "name",
        "parameters",
        "strict",
        "type",
        "allowed_callers",
        "async",
        "defer_loading",
        "description",
        "output_schema",
    ];
    match tool.as_object().filter(|_| tool["type"] == "function") {
        Some(function) => ordered(function, &KEYS),
        None => tool.clone(),
    }
}

fn text(fields: Fields<'_>) -> Value {
    let Some(text) = fields.within("text") else { return Value::Null };
    let format = text.object("format").map_or(Value::Null, |format| match format["type"].as_str() {
        Some("json_schema") => ordered(format, &["name", "schema", "type", "description", "strict"]),
        _ => Value::Object(format.clone()),
    });
    json!({ "format": format, "verbosity": text.raw("verbosity") })
}

/// A response, at any moment.
#[derive(Debug, Serialize)]
pub(super) struct Object<'a> {
    id: &'a str,
    created_at: u64,
    incomplete_details: Option<Value>,
    instructions: &'a Value,
    metadata: &'a Value,
    model: &'a str,
    object: &'static str,
    output: &'a [Value],
    parallel_tool_calls: bool,
    temperature: f64,
    tool_choice: &'a Value,
    tools: &'a [Value],
    top_p: f64,
    background: bool,
    max_output_tokens: u32,
    max_tool_calls: &'a Value,
    previous_response_id: &'a Value,
    prompt: Option<()>,
    prompt_cache_options: &'a Value,
    prompt_cache_key: &'a Value,
    prompt_cache_retention: &'a Value,
    reasoning: &'a Value,
    safety_identifier: &'a Value,
    service_tier: &'a Value,
    status: &'static str,
    text: &'a Value,
    top_logprobs: Option<i64>,
    truncation: &'a Value,
    usage: Option<Value>,
    user: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<RequestMetrics>,
    presence_penalty: f64,
    frequency_penalty: f64,
    kv_transfer_params: Option<Value>,
    ec_transfer_params: Option<()>,
    input_messages: Option<[Value; 1]>,
    output_messages: Option<[Value; 1]>,
}

impl<'a> Object<'a> {
    /// One that has no output yet.
    pub(super) fn begun(envelope: &'a Envelope, echo: &'a Echo, status: &'static str) -> Self {
        Self {
            id: &envelope.id,
            created_at: envelope.created,
            incomplete_details: None,
            instructions: &echo.instructions,
            metadata: &echo.metadata,
            model: &envelope.request.model,
            object: "response",
            output: &[],
            parallel_tool_calls: echo.parallel_tool_calls,
            temperature: echo.temperature,
            tool_choice: &echo.tool_choice,
            tools: &echo.tools,
            top_p: echo.top_p,
            background: echo.background,
            max_output_tokens: envelope.max_output_tokens,
            max_tool_calls: &echo.max_tool_calls,
            previous_response_id: &echo.previous_response_id,
            prompt: None,
            prompt_cache_options: &echo.prompt_cache_options,
            prompt_cache_key: &echo.prompt_cache_key,
            prompt_cache_retention: &echo.prompt_cache_retention,
            reasoning: &echo.reasoning,
            safety_identifier: &echo.safety_identifier,
            service_tier: &echo.service_tier,
            status,
            text: &echo.text,
            top_logprobs: echo.top_logprobs,
            truncation: &echo.truncation,
            usage: None,
            user: &echo.user,
            metrics: None,
            presence_penalty: echo.presence_penalty,
            frequency_penalty: echo.frequency_penalty,
            kv_transfer_params: None,
            ec_transfer_params: None,
            input_messages: None,
            output_messages: None,
        }
    }

    /// The same with all of its output.
    pub(super) fn ended(
        envelope: &'a Envelope,
        echo: &'a Echo,
        items: &'a [Value],
        output: &CompletionOutput,
        counts: TokenCounts,
    ) -> Self {
        let was_cut = output.finish_reason() == &FinishReason::Length;
        let raw = |ids: &[u32]| {
            let message =
                || json!({ "message": envelope.tokenizer.decode(ids), "tokens": ids, "type": "raw_message_tokens" });
            echo.messages.then(|| [message()])
        };
        Self {
            input_messages: raw(&envelope.request.prompts[0].token_ids),
            output_messages: raw(output.token_ids()),
            incomplete_details: was_cut.then(|| json!({ "reason": "max_output_tokens" })),
            output: items,
            usage: Some(usage(envelope, counts)),
            metrics: envelope.metrics(&counts),
            kv_transfer_params: envelope.kv_transfer_params(),
            ..Self::begun(envelope, echo, if was_cut { "incomplete" } else { "completed" })
        }
    }
}

fn usage(envelope: &Envelope, counts: TokenCounts) -> Value {
    let TokenCounts { completion_tokens, reasoning_tokens, cached_tokens, created_cache_tokens, .. } = counts;
    json!({
        "input_tokens": envelope.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": cached_tokens,
            "cache_write_tokens": created_cache_tokens,
            "input_tokens_per_turn": [],
            "cached_tokens_per_turn": [],
        },
        "output_tokens": completion_tokens,
        "output_tokens_details": {
            "reasoning_tokens": reasoning_tokens,
            "tool_output_tokens": 0,
            "output_tokens_per_turn": [],
            "tool_output_tokens_per_turn": [],
        },
        "total_tokens": envelope.prompt_tokens + completion_tokens,
    })
}

/// The id of an item of a response: 16 hex digits behind what says of which kind it is.
pub(super) fn item_id(kind: &str, response_id: &str, output_index: usize) -> String {
    let bytes = response_id.bytes().map(u64::from);
    let parts: Vec<u64> = bytes.chain([output_index as u64, 2]).collect();
    format!("{kind}_{:016x}", seed::derive(Purpose::Id, &parts))
}

/// An item of reasoning. Whole answers say nothing of its status.
pub(super) fn reasoning_item(id: &str, text: Option<&str>, status: Option<&str>) -> Value {
    let content = text.map(|text| json!([{ "text": text, "type": "reasoning_text" }]));
    json!({
        "id": id,
        "summary": [],
        "type": "reasoning",
        "content": content,
        "encrypted_content": null,
        "status": status,
    })
}

/// A message; `None`: its text has not begun.
pub(super) fn message_item(id: &str, text: Option<&str>, logprobs: &Value, status: &str) -> Value {
    let content: Vec<_> = text.map(|text| text_part(text, logprobs)).into_iter().collect();
    json!({
        "id": id,
        "content": content,
        "role": "assistant",
        "status": status,
        "type": "message",
        "phase": null,
    })
}

/// The one part of a message.
pub(super) fn text_part(text: &str, logprobs: &Value) -> Value {
    json!({ "annotations": [], "text": text, "type": "output_text", "logprobs": logprobs })
}

/// A call of a function.
pub(super) fn call_item(id: &str, call: &OutputCall, arguments: &str, status: &str) -> Value {
    json!({
        "arguments": arguments,
        "call_id": call.id,
        "name": call.name,
        "type": "function_call",
        "id": id,
        "async": null,
        "caller": null,
        "namespace": null,
        "status": status,
    })
}

/// All items of an output.
pub(super) fn items(
    output: &CompletionOutput,
    response_id: &str,
    shows_reasoning: bool,
    logprobs: &Value,
) -> Vec<Value> {
    let was_cut = output.finish_reason() == &FinishReason::Length;
    let mut items = Vec::new();
    if let Some(reasoning) = output.reasoning().filter(|_| shows_reasoning) {
        items.push(reasoning_item(&item_id("rs", response_id, 0), Some(reasoning), None));
    }
    let calls: Vec<_> = output.tool_calls().collect();
    let n_calls = calls.len();
    let status = |is_last: bool| if was_cut && is_last { "incomplete" } else { "completed" };
    if !output.text().is_empty() {
        let id = item_id("msg", response_id, items.len());
        items.push(message_item(&id, Some(output.text()), logprobs, status(n_calls == 0)));
    }
    for (call_idx, call) in calls.into_iter().enumerate() {
        let id = item_id("fc", response_id, items.len());
        items.push(call_item(&id, call, &call.arguments, status(call_idx + 1 == n_calls)));
    }
    if items.is_empty() && output.reasoning().is_none() {
        items.push(message_item(&item_id("msg", response_id, 0), None, &Value::Null, status(true)));
    }
    items
}
