//! `POST /v1/chat/completions/render` and `/v1/completions/render`: the request as `/inference/v1/generate` would take it,
//! with its prompt as token ids. Routers ask for it to know which tokens they route. vLLM has it only with
//! `--enable-scale-out`, we always do.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use rehearsal_engine::SamplingParams;
use rehearsal_engine::request::OutputFormat;
use serde_json::{Map, Value, json};

use crate::generate::{self, Incoming, Judged, Surface};
use crate::replica::Replica;
use crate::surface::chat_completions::ChatCompletions;
use crate::surface::completions::Completions;
use crate::wire::errors::ApiError;
use crate::wire::fields::Fields;
use crate::wire::json;

/// Of a conversation.
pub async fn chat(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(render::<ChatCompletions>(&headers, &body, &replica)?.remove(0)))
}

/// Of each prompt of a text completion.
pub async fn completion(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Vec<Value>>, ApiError> {
    render::<Completions>(&headers, &body, &replica).map(Json)
}

fn render<S: Surface>(headers: &HeaderMap, body: &[u8], replica: &Replica) -> Result<Vec<Value>, ApiError> {
    let (_, mut incoming) = generate::read::<S>(headers, body, &replica.limits)?;
    if incoming.sampling.use_beam_search {
        return Err(ApiError::invalid("a beam search cannot be rendered"));
    }
    incoming.wants_token_ids = true;
    let Judged { prompts, params, .. } = generate::judge(&mut incoming, headers, replica)?;
    let object = json::object(headers, body)?;
    let fields = Fields(&object);
    let id = generate::named(incoming.request_id.clone(), headers).unwrap_or_else(|| replica.next_id());
    let has_several = prompts.len() > 1;
    let rendered = prompts.into_iter().enumerate().map(|(index, counted)| {
        let room = replica.engine.config().most_output_tokens(counted.prompt.n_tokens);
        let max_tokens = params.max_tokens.unwrap_or(room).min(room);
        let suffix = if has_several { format!("-{index}") } else { String::new() };
        json!({
            "request_id": format!("{}{id}{suffix}", S::ID_PREFIX),
            "token_ids": counted.prompt.token_ids,
            "token_offsets": null,
            "features": null,
            "content_parts": null,
            "sampling_params": sampling_params(&incoming, &params, max_tokens, fields),
            "model": fields.raw("model"),
            "reasoning_ended": parsed(replica).then_some(false),
            "reasoning_parser_kwargs": parsed(replica).then(|| json!({ "chat_template_kwargs": template_kwargs(fields) })),
            "return_token_ids": fields.raw("return_token_ids"),
            "output_mode": "tokens",
            "parse_context": fields.raw("messages").map(|_| parse_context(&incoming, fields)),
            "stream": incoming.stream,
            "stream_options": fields.within("stream_options").map(stream_options),
            "cache_salt": fields.raw("cache_salt"),
            "priority": incoming.priority,
            "kv_transfer_params": fields.raw("kv_transfer_params"),
            "ec_transfer_params": fields.raw("ec_transfer_params"),
        })
    });
    Ok(rendered.collect())
}

/// Those that vLLM always shows, and of the others those that are not as usual, in its order. There, 16 is the usual
/// number of tokens.
fn sampling_params(incoming: &Incoming, params: &SamplingParams, max_tokens: u32, fields: Fields<'_>) -> Value {
    let given = &incoming.sampling;
    let unless = |usual: Value, value: Value| (value != usual).then_some(value);
    let some = |value: Value| unless(Value::Null, value);
    let echoes = fields.switch("echo") && fields.raw("prompt").is_some();
    let logprobs = given.logprobs.map(|(_, n)| n);
    let prompt_logprobs = given.prompt_logprobs.or(logprobs.filter(|_| echoes));
    let entries = [
        ("n", unless(1.into(), given.n.into())),
        ("presence_penalty", Some(given.presence_penalty.unwrap_or(0.0).into())),
        ("frequency_penalty", Some(given.frequency_penalty.unwrap_or(0.0).into())),
        ("repetition_penalty", Some(given.repetition_penalty.unwrap_or(1.0).into())),
        ("temperature", Some(given.temperature.unwrap_or(1.0).into())),
        ("top_p", Some(given.top_p.unwrap_or(1.0).into())),
        ("top_k", unless(0.into(), given.top_k.unwrap_or(0).into())),
        ("min_p", Some(given.min_p.unwrap_or(0.0).into())),
        ("seed", some(given.seed.into())),
        ("stop", Some(json!(given.stop))),
        ("stop_token_ids", Some(json!(given.stop_token_ids))),
        ("ignore_eos", unless(false.into(), given.ignore_eos.into())),
        ("max_tokens", unless(16.into(), max_tokens.into())),
        ("min_tokens", unless(0.into(), params.min_tokens.into())),
        ("logprobs", some(logprobs.into())),
        ("prompt_logprobs", some(prompt_logprobs.into())),
        ("logprob_token_ids", some(json!(given.logprob_token_ids))),
        ("include_stop_str_in_output", unless(false.into(), given.include_stop_str_in_output.into())),
        // Pieces, or the whole.
        ("output_kind", Some(if incoming.stream { 1.into() } else { 2.into() })),
        ("skip_clone", Some(true.into())),
        ("structured_outputs", structured_outputs(&incoming.wishes.format)),
        ("logit_bias", some(json!(fields.raw("logit_bias")))),
        ("allowed_token_ids", some(json!(given.allowed_token_ids))),
        ("extra_args", some(json!(fields.raw("vllm_xargs")))),
        ("bad_words", Some(json!(given.bad_words))),
        ("skip_reading_prefix_cache", Some(prompt_logprobs.is_some().into())),
        ("thinking_token_budget", some(given.thinking_token_budget.into())),
        ("repetition_detection", some(json!(fields.raw("repetition_detection")))),
    ];
    let shown = entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(shown.collect())
}

fn structured_outputs(format: &OutputFormat) -> Option<Value> {
    let (name, value) = match format {
        OutputFormat::Free => return None,
        OutputFormat::JsonObject => ("json_object", true.into()),
        OutputFormat::JsonSchema(schema) => ("json", serde_json::from_str(schema).unwrap_or_default()),
        OutputFormat::Regex(pattern) => ("regex", pattern.as_str().into()),
        OutputFormat::Choice(choices) => ("choice", json!(choices)),
        OutputFormat::Other(name, text) => (name.as_str(), text.as_str().into()),
    };
    let mut shown = json!({
        "json": null,
        "regex": null,
        "choice": null,
        "grammar": null,
        "json_object": null,
        "disable_any_whitespace": false,
        "disable_additional_properties": false,
        "whitespace_pattern": null,
        "structural_tag": null,
        "_backend": null,
        "_backend_was_auto": false,
    });
    shown[name] = value;
    Some(shown)
}

/// Whether vLLM would parse the answer.
fn parsed(replica: &Replica) -> bool {
    replica.limits.has_reasoning_parser
}

fn stream_options(options: Fields<'_>) -> Value {
    json!({
        "include_usage": options.switch("include_usage"),
        "continuous_usage_stats": options.switch("continuous_usage_stats"),
    })
}

/// What a parser of the answer is told.
fn parse_context(incoming: &Incoming, fields: Fields<'_>) -> Value {
    let has_tools = !incoming.wishes.tools.is_empty();
    let usual_choice = json!(if has_tools { "auto" } else { "none" });
    let calls = |message: &Value| message["tool_calls"].as_array().map_or(0, Vec::len);
    json!({
        "tools": fields.raw("tools"),
        "tool_choice": fields.raw("tool_choice").unwrap_or(&usual_choice),
        "parallel_tool_calls": incoming.wishes.parallel_tool_calls,
        "include_reasoning": fields.switch_or("include_reasoning", true),
        "chat_template_kwargs": template_kwargs(fields),
        "history_tool_call_cnt": fields.list("messages").iter().map(calls).sum::<usize>(),
    })
}

fn template_kwargs(fields: Fields<'_>) -> Map<String, Value> {
    let mut kwargs = Map::new();
    kwargs.insert("add_generation_prompt".into(), fields.switch_or("add_generation_prompt", true).into());
    kwargs.insert("continue_final_message".into(), fields.switch("continue_final_message").into());
    kwargs.extend(fields.raw("reasoning_effort").map(|effort| ("reasoning_effort".into(), effort.clone())));
    kwargs.extend(fields.object("chat_template_kwargs").cloned().unwrap_or_default());
    kwargs
}
