//! Errors of requests: status, type, param and code as vLLM 0.33 has them; the words are ours.

use rehearsal_tests::{Answer, Server};
use serde_json::{Value, json};

use crate::clock::queued;
use crate::serve;

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

/// Status, type and param; code must repeat the status.
fn shape(answer: &Answer) -> (u16, &str, Option<&str>) {
    let error = &answer.json["error"];
    assert_eq!(error["code"], answer.status, "{}", answer.text);
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", answer.text);
    let keys: Vec<_> = error.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["message", "type", "param", "code"]);
    (answer.status, error["type"].as_str().unwrap(), error["param"].as_str())
}

const PYDANTIC: &str = "Bad Request";
const VLLM: &str = "BadRequestError";

#[tokio::test]
async fn bodies_that_are_not_requests() {
    let server = serve("").await;
    for (path, media_type, body, param) in [
        (CHAT, "application/json", "{bad json", Some("body.1")),
        (CHAT, "application/json", "", Some("body")),
        (CHAT, "application/json", "[]", Some("body")),
        (CHAT, "text/plain", r#"{"messages": []}"#, None),
        (TEXT, "application/x-json", r#"{"prompt": "x"}"#, None),
    ] {
        let answer = server.post_text(path, media_type, body, &[]).await;
        assert_eq!(shape(&answer), (400, PYDANTIC, param), "{body}");
    }
}

#[tokio::test]
async fn chat_fields_that_are_wrong() {
    let server = serve("").await;
    for (more, kind, param) in [
        (json!({ "messages": null }), VLLM, None),
        (json!({ "messages": "x" }), PYDANTIC, Some("body.messages")),
        (
            json!({ "messages": [{ "content": "x" }] }),
            PYDANTIC,
            Some("body.messages.0.ChatCompletionDeveloperMessageParam.role"),
        ),
        (json!({ "temperature": "hot" }), PYDANTIC, Some("body.temperature")),
        (json!({ "temperature": -1 }), VLLM, Some("temperature")),
        (json!({ "temperature": 3 }), VLLM, Some("temperature")),
        (json!({ "top_p": 0 }), VLLM, Some("top_p")),
        (json!({ "top_k": -2 }), VLLM, None),
        (json!({ "min_p": 2 }), VLLM, None),
        (json!({ "n": 0 }), VLLM, None),
        (json!({ "n": 20000 }), VLLM, None),
        (json!({ "n": 2, "temperature": 0 }), VLLM, None),
        (json!({ "max_tokens": 0 }), VLLM, Some("max_tokens")),
        (json!({ "max_tokens": -5 }), VLLM, Some("max_tokens")),
        (json!({ "max_tokens": "a" }), PYDANTIC, Some("body.max_tokens")),
        (json!({ "max_tokens": 5000 }), VLLM, Some("max_tokens")),
        (json!({ "max_completion_tokens": 5000 }), VLLM, Some("max_completion_tokens")),
        (json!({ "stream_options": { "include_usage": true } }), VLLM, Some("stream_options")),
        (json!({ "stream_options": { "include_usage": true }, "temperature": "hot" }), VLLM, Some("stream_options")),
        (json!({ "top_logprobs": 3 }), VLLM, Some("top_logprobs")),
        (json!({ "logprobs": true, "top_logprobs": -3 }), VLLM, Some("top_logprobs")),
        (json!({ "logprobs": true, "top_logprobs": 25 }), VLLM, Some("logprobs")),
        (json!({ "prompt_logprobs": 1, "stream": true }), VLLM, Some("prompt_logprobs")),
        (json!({ "stop": ["a", "b", "c", "d", "e"] }), PYDANTIC, Some("body.stop")),
        (json!({ "stop": "" }), VLLM, None),
        (json!({ "tools": [] }), VLLM, Some("tools")),
        (json!({ "tool_choice": "auto" }), VLLM, Some("tool_choice")),
        (json!({ "response_format": { "type": "json_schema" } }), VLLM, Some("response_format")),
        (json!({ "response_format": { "type": "foo" } }), PYDANTIC, Some("body.response_format.type")),
        (json!({ "structured_outputs": { "json": {}, "regex": "a" } }), VLLM, None),
        (json!({ "structured_outputs": {} }), VLLM, None),
        (json!({ "seed": 9_223_372_036_854_775_808_u64 }), PYDANTIC, Some("body.seed")),
        (json!({ "stream": "maybe" }), PYDANTIC, Some("body.stream")),
        (json!({ "min_tokens": 20, "max_tokens": 10 }), VLLM, None),
        (json!({ "presence_penalty": 5 }), VLLM, None),
        (json!({ "repetition_penalty": 0 }), VLLM, None),
        (json!({ "reasoning_effort": "huge" }), PYDANTIC, Some("body.reasoning_effort")),
        (json!({ "cache_salt": "" }), VLLM, Some("cache_salt")),
    ] {
        let answer = server.post(CHAT, &Server::chat("hi", &more)).await;
        assert_eq!(shape(&answer), (400, kind, param), "{more}");
    }
}

#[tokio::test]
async fn text_fields_that_are_wrong() {
    let server = serve("").await;
    for (body, kind, param) in [
        (json!({}), VLLM, Some("prompt")),
        (json!({ "prompt": "" }), VLLM, Some("prompt")),
        (json!({ "prompt": null }), VLLM, Some("prompt")),
        (json!({ "prompt": 5 }), PYDANTIC, Some("body.prompt")),
        (json!({ "prompt": [] }), VLLM, None),
        (json!({ "prompt": [-1] }), PYDANTIC, Some("body.prompt.0")),
        (json!({ "prompt": [5_000_000_000_u64] }), VLLM, None),
        (json!({ "prompt": "x", "max_tokens": 0 }), VLLM, Some("max_tokens")),
        (json!({ "prompt": "x", "max_tokens": 5000 }), VLLM, Some("max_tokens")),
        (json!({ "prompt": "x", "logprobs": -2 }), VLLM, Some("logprobs")),
        (json!({ "prompt": "x", "suffix": "y" }), VLLM, Some("suffix")),
        (json!({ "prompt": "x", "stream_options": { "include_usage": true } }), VLLM, Some("stream_options")),
    ] {
        let answer = server.post(TEXT, &body).await;
        assert_eq!(shape(&answer), (400, kind, param), "{body}");
    }
}

#[tokio::test]
async fn what_vllm_accepts_is_accepted() {
    let server = serve("--mode echo").await;
    for more in [
        json!({ "messages": [] }),
        json!({ "messages": [{ "role": "user" }] }),
        json!({ "messages": [{ "role": "alien", "content": "x" }] }),
        json!({ "foo": "bar", "guided_json": {}, "logit_bias": { "1": 5 }, "user": "u", "priority": 3 }),
        json!({ "temperature": "0.5", "max_tokens": 5.0, "stream": null, "stop": null, "n": "1" }),
        json!({ "max_tokens": 1024, "tools": [{ "type": "function", "function": { "name": "f" } }] }),
        json!({ "response_format": { "type": "json_object" }, "tool_choice": "none", "stream_options": null }),
    ] {
        assert_eq!(server.post(CHAT, &Server::chat("hi", &more)).await.status, 200, "{more}");
    }
    assert_eq!(server.post(TEXT, &json!({ "prompt": "x", "stream_options": {} })).await.status, 200);
}

#[tokio::test]
async fn unknown_models_are_404_with_the_phrase_that_clients_match() {
    let server = serve("").await;
    let answer = server.post(CHAT, &Server::chat("hi", &json!({ "model": "gpt-9" }))).await;
    assert_eq!(shape(&answer), (404, "NotFoundError", Some("model")));
    assert!(answer.text.contains("The model `gpt-9` does not exist"));
}

#[tokio::test]
async fn a_prompt_must_leave_room_in_the_window() {
    let server = serve("--mode echo --max-model-len 10").await;
    let words = |n: usize| "w ".repeat(n);
    let message = |answer: &Answer| answer.json["error"]["message"].as_str().unwrap_or_default().to_owned();

    let too_long = server.post(CHAT, &Server::chat(&words(11), &json!({}))).await;
    assert_eq!(shape(&too_long), (400, VLLM, Some("input_tokens")));
    assert!(message(&too_long).contains("maximum context length is 10 tokens"));
    assert!(message(&too_long).ends_with("(parameter=input_tokens, value=11)"));
    let text = server.post(TEXT, &json!({ "prompt": words(20) })).await;
    assert!(message(&text).ends_with("(parameter=input_tokens, value=11)"), "a text is cut before it is counted");

    let fills = server.post(CHAT, &Server::chat(&words(10), &json!({}))).await;
    assert_eq!(shape(&fills), (400, VLLM, Some("max_tokens")));

    let cut = server.post(CHAT, &Server::chat(&words(7), &json!({ "max_tokens": 9 }))).await;
    assert_eq!((cut.status, cut.json["usage"]["completion_tokens"].as_u64()), (200, Some(3)));
    assert_eq!(cut.json["choices"][0]["finish_reason"], "length");

    let strict = serve("--mode echo --max-model-len 10 --strict-context-window").await;
    let refused = strict.post(CHAT, &Server::chat(&words(7), &json!({ "max_tokens": 9 }))).await;
    assert_eq!((refused.status, shape(&refused).1), (400, VLLM));
    assert!(message(&refused).contains("maximum context length is 10 tokens"));
    let fits = strict.post(CHAT, &Server::chat(&words(7), &json!({ "max_tokens": 3 }))).await;
    assert_eq!(fits.status, 200);
}

#[tokio::test]
async fn a_full_queue_is_429() {
    let server = serve("--mode echo --max-num-seqs 1 --max-waiting-queue-length 1 --time-to-first-token 60s").await;
    let body = Server::chat("hi", &json!({}));
    let post = || server.http.post(format!("{}{CHAT}", server.url)).json(&body).send();
    let (running, waiting) = (tokio::spawn(post()), tokio::spawn(post()));
    queued(&server, 2).await;
    let refused = server.post(CHAT, &body).await;
    assert_eq!(shape(&refused), (429, "RateLimitError", None));
    let null = refused.json["error"].get("param").is_some_and(Value::is_null);
    assert!(null, "{}", refused.text);
    running.abort();
    waiting.abort();
}
