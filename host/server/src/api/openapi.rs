//! `GET /openapi.json`: every endpoint that is served, and what it takes.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::pooling::fields::{CLASSIFY, EMBED, POOL, RERANK, SCORE};
use super::tokenize::{DETOKENIZE, TOKENIZE};
use super::{cache, lora, server_info, sleep};
use crate::replica::{Replica, VLLM_VERSION};
use crate::surface::{messages, openai, responses, tokens};
use crate::wire::schema::{Field, INTEGER, Kind, TEXT, field};
use crate::wire::{errors, json_schema};

/// One endpoint.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: Body,
    query: &'static [Field],
    answer: Answer,
}

/// What it takes.
enum Body {
    Nothing,
    /// An object of one of these forms.
    Forms(&'static [&'static [&'static [Field]]]),
    /// Whatever JSON.
    Any,
}

/// What it answers with.
enum Answer {
    Json,
    /// Or Server-Sent Events.
    Stream,
    /// Server-Sent Events alone.
    Events,
    Html,
    Text,
    /// Nothing, or a text of which no media type is told, as in vLLM.
    Nothing,
    /// A status that says so.
    NoContent,
}

const fn get(path: &'static str, summary: &'static str, answer: Answer) -> Operation {
    Operation { method: "get", path, summary, body: Body::Nothing, query: &[], answer }
}

const fn post(path: &'static str, summary: &'static str, body: Body, answer: Answer) -> Operation {
    Operation { method: "post", path, summary, body, query: &[], answer }
}

const fn told(path: &'static str, summary: &'static str, query: &'static [Field], answer: Answer) -> Operation {
    Operation { method: "post", path, summary, body: Body::Nothing, query, answer }
}

const CHAT: Body = Body::Forms(&[&[openai::fields::CHAT]]);
const COMPLETION: Body = Body::Forms(&[&[openai::fields::COMPLETION]]);

const OPERATIONS: &[Operation] = &[
    post("/v1/chat/completions", "Answer a conversation", CHAT, Answer::Stream),
    post("/v1/chat/completions/render", "A conversation as token ids", CHAT, Answer::Json),
    post("/v1/completions", "Continue texts", COMPLETION, Answer::Stream),
    post("/v1/completions/render", "Texts as token ids", COMPLETION, Answer::Json),
    post("/v1/responses", "Make a response", Body::Forms(&[&[responses::fields::RESPONSES]]), Answer::Stream),
    Operation {
        query: &[field("stream", Kind::Switch)],
        ..get("/v1/responses/{id}", "A response that was kept", Answer::Json)
    },
    post("/v1/responses/{id}/cancel", "End a response that is being made", Body::Nothing, Answer::Json),
    post("/v1/messages", "Answer with a message", Body::Forms(&[&[messages::fields::MESSAGES]]), Answer::Stream),
    post(
        "/v1/messages/count_tokens",
        "Count the tokens of a message's prompt",
        Body::Forms(&[&[messages::fields::COUNT_TOKENS]]),
        Answer::Json,
    ),
    post("/inference/v1/generate", "Continue token ids", Body::Forms(&[&[tokens::TOKENS]]), Answer::Stream),
    post("/invocations", "Answer as the endpoint that the body is for", Body::Any, Answer::Stream),
    post("/v1/embeddings", "Vectors of texts", Body::Forms(EMBED), Answer::Json),
    post("/pooling", "Vectors of texts, as vLLM pools them", Body::Forms(POOL), Answer::Json),
    post("/classify", "Classes of texts", Body::Forms(CLASSIFY), Answer::Json),
    post("/score", "How well texts go together", Body::Forms(SCORE), Answer::Json),
    post("/v1/score", "How well texts go together", Body::Forms(SCORE), Answer::Json),
    post("/rerank", "Documents by how well they go with a query", Body::Forms(RERANK), Answer::Json),
    post("/v1/rerank", "Documents by how well they go with a query", Body::Forms(RERANK), Answer::Json),
    post("/v2/rerank", "Documents by how well they go with a query", Body::Forms(RERANK), Answer::Json),
    post("/tokenize", "Token ids of a text or a conversation", Body::Forms(TOKENIZE), Answer::Json),
    post("/detokenize", "The text of token ids", Body::Forms(&[&[DETOKENIZE]]), Answer::Json),
    get("/v1/models", "The model and its adapters", Answer::Json),
    post("/v1/load_lora_adapter", "Make an adapter known", Body::Forms(&[&[lora::LOAD]]), Answer::Nothing),
    post("/v1/unload_lora_adapter", "Forget an adapter", Body::Forms(&[&[lora::UNLOAD]]), Answer::Nothing),
    get("/metrics", "What Prometheus scrapes", Answer::Text),
    get("/load", "How many requests are being answered", Answer::Json),
    get("/version", "vLLM's version", Answer::Json),
    get("/health", "Whether the server lives", Answer::Nothing),
    get("/health/ready", "Whether the server is ready", Answer::Nothing),
    get("/ready", "Whether the server is ready", Answer::Nothing),
    get("/ping", "Whether the server lives", Answer::Nothing),
    post("/ping", "Whether the server lives", Body::Nothing, Answer::Nothing),
    Operation {
        query: &[
            field("last", INTEGER),
            field("wait", INTEGER),
            field("timeout", TEXT),
            field("model", TEXT),
            field("header", TEXT),
        ],
        ..get("/rehearsal/requests", "The requests as they were received", Answer::Json)
    },
    Operation { method: "delete", ..get("/rehearsal/requests", "Forget them", Answer::NoContent) },
    get("/rehearsal", "A page to look at", Answer::Html),
    get("/rehearsal/events", "What the page is fed with, every second", Answer::Events),
    get("/rehearsal/plugins", "The plugins and how they do", Answer::Json),
    Operation {
        query: &[field("prefix", TEXT)],
        ..get("/rehearsal/plugins/{name}/state", "What a plugin keeps between calls", Answer::Json)
    },
    Operation {
        method: "put",
        body: Body::Any,
        ..get("/rehearsal/plugins/{name}/state", "Let it keep more", Answer::NoContent)
    },
    Operation {
        method: "delete",
        query: &[field("key", TEXT)],
        ..get("/rehearsal/plugins/{name}/state", "Forget a key of it, or everything", Answer::NoContent)
    },
    get("/openapi.json", "This document", Answer::Json),
];

/// Those that are not there with `--no-admin`.
const FOR_ADMINS: &[Operation] = &[
    get("/admin/clock", "The engine's time", Answer::Json),
    post("/admin/clock", "Advance a manual clock", Body::Any, Answer::Json),
    get("/admin/config", "The configuration in force", Answer::Json),
    post("/admin/config", "Change it while the server runs", Body::Any, Answer::Json),
    post("/fake_metrics", "Make metrics up", Body::Any, Answer::NoContent),
    Operation { method: "delete", ..get("/fake_metrics", "Measure again", Answer::NoContent) },
];

/// Those that are there only with `VLLM_SERVER_DEV_MODE=1`.
const FOR_DEVELOPERS: &[Operation] = &[
    told("/reset_prefix_cache", "Forget what the KV cache has", cache::RESET, Answer::Json),
    told("/reset_mm_cache", "Forget media", &[], Answer::Nothing),
    told("/reset_encoder_cache", "Forget encoded media", &[], Answer::Nothing),
    told("/sleep", "Give memory away", sleep::SLEEP, Answer::Json),
    told("/wake_up", "Take memory back", &[field("tags", Kind::List(&TEXT, None))], Answer::Json),
    get("/is_sleeping", "Whether the server rests", Answer::Json),
    told("/pause", "Generate nothing", sleep::PAUSE, Answer::Json),
    told("/resume", "Go on", &[], Answer::Json),
    get("/is_paused", "Whether nothing is generated", Answer::Json),
    Operation { query: server_info::QUERY, ..get("/server_info", "What the engine was built with", Answer::Json) },
];

/// The document; nothing where it is not to be shown.
pub async fn document(State(replica): State<Arc<Replica>>) -> Response {
    static DOCUMENTS: LazyLock<[[Bytes; 2]; 2]> =
        LazyLock::new(|| [false, true].map(|dev_mode| [false, true].map(|has_admin| of(dev_mode, has_admin))));
    if replica.answers.hides_openapi {
        return errors::detail(StatusCode::NOT_FOUND, "Not Found");
    }
    let document = &DOCUMENTS[usize::from(replica.answers.dev_mode)][usize::from(replica.answers.has_admin)];
    ([(header::CONTENT_TYPE, "application/json")], Bytes::clone(document)).into_response()
}

fn of(dev_mode: bool, has_admin: bool) -> Bytes {
    let mut paths = Map::new();
    let for_developers = if dev_mode { FOR_DEVELOPERS } else { &[] };
    let for_admins = if has_admin { FOR_ADMINS } else { &[] };
    for operation in OPERATIONS.iter().chain(for_admins).chain(for_developers) {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(operation);
    }
    let detail = json!({ "type": "object", "properties": { "detail": { "type": "string" } }, "required": ["detail"] });
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Rehearsal, a stand-in for vLLM", "version": VLLM_VERSION },
        "paths": paths,
        "components": { "schemas": { "Error": { "anyOf": [error(), anthropic_error(), detail] } } },
    });
    document.to_string().into()
}

fn error() -> Value {
    let error = json!({
        "type": "object",
        "properties": {
            "message": { "type": "string" },
            "type": { "type": "string" },
            "param": { "type": ["string", "null"] },
            "code": { "type": ["integer", "string"] },
        },
        "required": ["message", "type", "param", "code"],
    });
    json!({ "type": "object", "properties": { "error": error }, "required": ["error"] })
}

/// Of `/v1/messages`.
fn anthropic_error() -> Value {
    let error = json!({
        "type": "object",
        "properties": { "message": { "type": "string" }, "type": { "type": "string" } },
        "required": ["message", "type"],
    });
    let kind = json!({ "const": "error" });
    json!({ "type": "object", "properties": { "type": kind, "error": error }, "required": ["type", "error"] })
}

fn described(operation: &Operation) -> Value {
    let content = match operation.answer {
        Answer::Json => json!({ "application/json": { "schema": {} } }),
        Answer::Stream => json!({ "application/json": { "schema": {} }, "text/event-stream": { "schema": {} } }),
        Answer::Events => json!({ "text/event-stream": { "schema": {} } }),
        Answer::Html => json!({ "text/html": { "schema": { "type": "string" } } }),
        Answer::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
        Answer::Nothing | Answer::NoContent => Value::Null,
    };
    let mut answer = json!({ "description": "as vLLM answers" });
    if !content.is_null() {
        answer["content"] = content;
    }
    let error = json!({
        "description": "what is wrong",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    });
    let status = if matches!(operation.answer, Answer::NoContent) { "204" } else { "200" };
    let mut described = json!({ "summary": operation.summary, "responses": { status: answer, "default": error } });
    let body = match operation.body {
        Body::Nothing => None,
        Body::Forms(forms) => Some(json_schema::body(forms)),
        Body::Any => Some(json!({ "type": "object" })),
    };
    if let Some(schema) = body {
        described["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    let name = operation.path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name);
    let named = name.map(
        |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }),
    );
    let query = operation.query.iter().map(
        |field| json!({ "name": field.name, "in": "query", "required": false, "schema": json_schema::field(field) }),
    );
    let parameters: Vec<_> = named.into_iter().chain(query).collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    described
}
