//! `POST /v1/responses`: OpenAI's newer API, as vLLM speaks it.

mod conversation;
mod events;
pub mod fields;
mod object;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::Endpoint;
use rehearsal_engine::request::{Message, OutputFormat, Tool, ToolChoice, Wishes};
use serde_json::{Map, Value, json};

use super::openai::{Logprobs, Shown, body, checks};
use crate::config::RequestLimits;
use crate::generate::{self, Answer, Envelope, Incoming, RequestId, Sampling, Surface};
use crate::prompts::Input;
use crate::prompts::conversation::Conversation;
use crate::replica::Replica;
use crate::response_store::{ResponseStore, Stored};
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, is_truthy};
use crate::wire::schema;
use events::ResponseEvents;
use object::{Echo, Object};

/// Answers with a response.
pub struct Responses {
    echo: Echo,
    shown: Shown,
    shows_reasoning: bool,
    /// What it goes on from.
    previous_response_id: Option<String>,
    /// It is to be kept.
    store: bool,
    /// Where, and with which conversation.
    kept: Option<(Arc<ResponseStore>, Vec<Message>)>,
}

/// Reads a body, looks up what it goes on from, and answers: at once, as a stream, or later, if it is to be made in the
/// background.
pub async fn create(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Response {
    let read = generate::read::<Responses>(&headers, &body, &replica.limits);
    let prepared = read.and_then(|(surface, incoming)| prepare(surface, incoming, &replica));
    match prepared {
        Ok((surface, incoming)) if surface.echo.background && !incoming.stream => {
            in_background(surface, incoming, headers, body, &replica).unwrap_or_else(Responses::failed)
        }
        Ok((surface, incoming)) => generate::respond(surface, incoming, &headers, &body, &replica).await,
        Err(error) => Responses::failed(error),
    }
}

/// Adds the conversation so far, and sees to what is to be kept.
fn prepare(
    mut surface: Responses,
    mut incoming: Incoming,
    replica: &Replica,
) -> Result<(Responses, Incoming), ApiError> {
    replica.adapter(incoming.model.as_deref())?;
    let store = &replica.responses;
    if surface.echo.background && !store.is_enabled() {
        let message = "background needs a server that keeps responses (VLLM_ENABLE_RESPONSES_API_STORE=1)";
        return Err(ApiError::InvalidRequest { message: message.into(), param: "background" });
    }
    let Input::Conversation(conversation) = &mut incoming.input else { return Ok((surface, incoming)) };
    if let Some(id) = &surface.previous_response_id {
        let earlier = store.get(id).ok_or_else(|| ApiError::UnknownResponse { id: id.clone() })?;
        let asked = std::mem::replace(&mut **conversation, Conversation::new(Vec::new()));
        **conversation = conversation::continued(asked, &earlier.messages);
    }
    if surface.store && store.is_enabled() {
        surface.kept = Some((store.clone(), conversation.messages.clone()));
    }
    Ok((surface, incoming))
}

/// Answers at once with a response that is queued, and goes on with it.
fn in_background(
    surface: Responses,
    incoming: Incoming,
    headers: HeaderMap,
    body: Bytes,
    replica: &Arc<Replica>,
) -> Result<Response, ApiError> {
    let echo = surface.echo.clone();
    let kept = surface.kept.clone();
    let replica = replica.clone();
    let (accepted, begun) = generate::begin(surface, incoming, &headers, &body, &replica)?;
    let queued = json!(Object::begun(&accepted, &echo, "queued"));
    let Some((store, messages)) = kept else { return Ok(Json(queued).into_response()) };
    let id = accepted.id.clone();
    // Known before it can end.
    store.keep(&id, Stored { object: queued.clone(), messages: messages.clone(), running: None });
    let (failed, ended) = (queued.clone(), store.clone());
    let task = tokio::spawn(async move {
        if begun.finish().await.is_err() {
            let mut object = failed;
            object["status"] = "failed".into();
            ended.keep(&id, Stored { object, messages, running: None });
        }
    });
    store.runs(&accepted.id, task.abort_handle());
    Ok(Json(queued).into_response())
}

impl Surface for Responses {
    const ID_PREFIX: &'static str = "resp_";
    type Events = ResponseEvents;

    fn read(mut object: Map<String, Value>, limits: &RequestLimits) -> Result<(Self, Incoming), ApiError> {
        check(&object)?;
        if Fields(&object).list("tools").is_empty()
            && matches!(object.get("tool_choice"), None | Some(Value::String(_)))
        {
            // vLLM puts it there, which shows where an error counts fields.
            let choice = object.entry("tool_choice").or_insert("none".into());
            if choice == "auto" {
                *choice = "none".into();
            }
        }
        checks::cache_salt(&object)?;
        if object.get("prompt_cache_retention").is_some_and(|retention| retention == "in-memory") {
            object["prompt_cache_retention"] = "in_memory".into();
        }
        schema::check(&object, fields::RESPONSES, limits).or_ok()?;
        let fields = Fields(&object);
        let conversation = conversation::read(fields)?;
        let mut tools = conversation::tools(fields);
        let allowed = fields.within("tool_choice").filter(|choice| choice.text("type") == Some("allowed_tools"));
        if let Some(allowed) = allowed {
            let is_allowed = |tool: &Tool| allowed.list("tools").iter().any(|named| named["name"] == tool.name);
            tools.retain(is_allowed);
        }
        let tool_choice = match fields.raw("tool_choice") {
            _ if fields.list("tools").is_empty() => ToolChoice::None,
            Some(_) if allowed.is_some_and(|allowed| allowed.text("mode") == Some("required")) && !tools.is_empty() => {
                ToolChoice::Required
            }
            None => ToolChoice::Auto,
            Some(Value::String(word)) if word == "required" => ToolChoice::Required,
            Some(Value::String(word)) if word == "none" => ToolChoice::None,
            Some(Value::Object(named))
                if named.get("type").is_some_and(|kind| kind == "function" || kind == "custom") =>
            {
                ToolChoice::Function(named["name"].as_str().unwrap_or_default().to_owned())
            }
            Some(_) => ToolChoice::Auto,
        };
        let wants_logprobs = fields.list("include").iter().any(|include| include == fields::LOGPROBS);
        let top_logprobs = wants_logprobs.then(|| fields.integer("top_logprobs").unwrap_or(0));
        let (mut incoming, shown) = body::read(
            fields,
            Endpoint::Responses,
            Input::Conversation(Box::new(conversation.clone())),
            fields.integer("max_output_tokens").map(|most| ("max_output_tokens", most)),
            top_logprobs.map(|n| ("top_logprobs", n)),
        );
        incoming.request_id = RequestId::Whole(fields.string("request_id"));
        incoming.wants_token_ids |= fields.switch("enable_response_messages");
        // Neither is a field of this API.
        incoming.sampling = Sampling { n: 1, min_tokens: 0, ..incoming.sampling };
        if fields.text("truncation") == Some("auto") {
            incoming.sampling.truncate_prompt_tokens = Some(-1);
        }
        incoming.wishes = Wishes {
            tool_choice,
            tools,
            parallel_tool_calls: fields.switch_or("parallel_tool_calls", true),
            format: format(fields)?,
            reasoning_effort: fields.within("reasoning").and_then(|reasoning| reasoning.string("effort")),
        };
        if conversation.forbids_thinking() {
            incoming.wishes.reasoning_effort = Some("none".into());
        }
        let surface = Self {
            echo: Echo::read(fields, &incoming.wishes.tool_choice, top_logprobs),
            shown,
            shows_reasoning: fields.switch_or("include_reasoning", true),
            previous_response_id: fields.string("previous_response_id"),
            store: fields.raw("store").is_some_and(|_| fields.switch("store")) || !object.contains_key("store"),
            kept: None,
        };
        Ok((surface, incoming))
    }

    fn whole(self, answer: &Answer) -> Response {
        let Answer { envelope, outputs, counts } = answer;
        let output = &outputs[0];
        let logprobs = Logprobs::new(&self.shown, envelope).of_response(output, 0..output.n_tokens());
        let logprobs = logprobs.map_or(Value::Null, |(_, kept)| kept.into());
        let items = object::items(output, &envelope.id, self.shows_reasoning, &logprobs);
        let response = json!(Object::ended(envelope, &self.echo, &items, output, *counts));
        self.keep(envelope, response.clone(), &items);
        Json(response).into_response()
    }

    fn events(self, envelope: Envelope) -> ResponseEvents {
        ResponseEvents::new(self, envelope)
    }
}

impl Responses {
    /// Keeps what was answered, if it is to be kept. Of its items, only what it said is part of a conversation.
    fn keep(&self, envelope: &Envelope, object: Value, items: &[Value]) {
        let Some((store, messages)) = &self.kept else { return };
        let said = items
            .iter()
            .filter(|item| item["type"] == "message")
            .map(|item| Message::text("assistant", item["content"][0]["text"].as_str().unwrap_or_default()));
        let messages = messages.iter().cloned().chain(said).collect();
        store.keep(&envelope.id, Stored { object, messages, running: None });
    }
}

/// What vLLM looks for before types, in its order.
fn check(object: &Map<String, Value>) -> Result<(), ApiError> {
    let fields = Fields(object);
    check_tools(fields)?;
    let has_grammar = |tool: &Value| tool["type"] == "custom" && tool["format"]["type"] == "grammar";
    if fields.list("tools").iter().any(has_grammar) {
        return Err(ApiError::invalid_param("tools", "custom tools with a grammar are not simulated"));
    }
    if fields.raw("prompt").is_some() {
        return Err(ApiError::invalid_param("prompt", "prompt templates are not simulated"));
    }
    let is_kept = object.get("store").is_none_or(|store| is_truthy(Some(store)));
    if is_truthy(object.get("background")) && !is_kept {
        return Err(ApiError::invalid_param("background", "background needs `store` to be true"));
    }
    Ok(())
}

fn check_tools(fields: Fields<'_>) -> Result<(), ApiError> {
    if fields.raw("tools").is_some_and(|tools| !tools.is_array() && !tools.is_object() && !tools.is_string()) {
        return Err(ApiError::invalid("tools must be a list"));
    }
    let tools = fields.list("tools");
    match fields.raw("tool_choice") {
        Some(Value::String(word)) if word == "required" && tools.is_empty() => {
            Err(ApiError::invalid_param("tool_choice", "tool_choice 'required' needs `tools`"))
        }
        Some(choice @ Value::Object(named)) => {
            let is_named = matches!(named.get("type").and_then(Value::as_str), Some("function" | "custom"));
            let name = choice["name"].as_str().unwrap_or_default();
            let is_there = tools.iter().any(|tool| !name.is_empty() && tool["name"] == name);
            if is_named && !is_there { Err(ApiError::unknown_tool(name)) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// `text.format`, or `structured_outputs`.
fn format(fields: Fields<'_>) -> Result<OutputFormat, ApiError> {
    let Some(format) = fields.within("text").and_then(|text| text.within("format")) else {
        return body::format(fields);
    };
    if fields.raw("structured_outputs").is_some() {
        let message = "only one of structured_outputs and text.format can be had";
        return Err(ApiError::invalid_param("structured_outputs", message));
    }
    Ok(match (format.text("type"), format.object("schema")) {
        (Some("json_object"), _) => OutputFormat::JsonObject,
        (Some("json_schema"), Some(schema)) => {
            OutputFormat::JsonSchema(serde_json::to_string(schema).unwrap_or_default())
        }
        _ => OutputFormat::Free,
    })
}
