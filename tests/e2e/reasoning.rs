//! Reasoning that a plugin returns, as vLLM shows what its parsers find.

use rehearsal_tests::{MISBEHAVE, Server};
use serde_json::{Value, json};

use crate::EXE;

const CHAT: &str = "/v1/chat/completions";

async fn serve(more: &[&str]) -> Server {
    let plugin = format!("guest={MISBEHAVE}");
    Server::start(EXE, &[&["--model", "m", "--mode", "guest", "--plugin", &plugin][..], more].concat()).await
}

const PARSER: [&str; 2] = ["--reasoning-parser", "qwen3"];

fn think(more: &Value) -> Value {
    Server::chat("think", more)
}

#[tokio::test]
async fn an_answer_shows_its_reasoning_beside_its_content() {
    let server = serve(&PARSER).await;
    for (more, reasoning, content, finish) in [
        (json!({}), json!("Let me see. "), json!("Two."), "stop"),
        (json!({ "include_reasoning": false }), Value::Null, json!("Two."), "stop"),
        (json!({ "max_tokens": 3 }), json!("Let me see"), Value::Null, "length"),
    ] {
        let answer = server.post(CHAT, &think(&more)).await.json;
        let choice = &answer["choices"][0];
        assert_eq!((&choice["message"]["reasoning"], &choice["message"]["content"]), (&reasoning, &content), "{more}");
        assert_eq!(choice["finish_reason"], finish);
        let reasoning_tokens = if finish == "length" { 3 } else { 4 };
        assert_eq!(answer["usage"]["completion_tokens_details"], json!({ "reasoning_tokens": reasoning_tokens }));
    }
    let text = server.post("/v1/completions", &json!({ "prompt": "think" })).await.json;
    assert_eq!(text["choices"][0]["text"], TAGGED);
}

/// What no parser takes apart.
const TAGGED: &str = "<think>\nLet me see. \n</think>\n\nTwo.";

#[tokio::test]
async fn without_a_parser_reasoning_stands_in_the_content() {
    let server = serve(&[]).await;
    let answer = server.post(CHAT, &think(&json!({}))).await.json;
    let message = &answer["choices"][0]["message"];
    assert_eq!((&message["reasoning"], &message["content"]), (&Value::Null, &json!(TAGGED)));
    assert_eq!(answer["usage"]["completion_tokens_details"], Value::Null);
    assert_eq!(server.stream(CHAT, &think(&json!({}))).await.text(0), TAGGED);
}

#[tokio::test]
async fn random_thinks_where_a_parser_would_tell_and_not_where_it_is_told_not_to() {
    let server = Server::start(EXE, &["--model", "m", "--reasoning-parser", "qwen3"]).await;
    let reasoning = async |more: Value| {
        let answer = server.post(CHAT, &Server::chat("hi", &more)).await.json;
        answer["choices"][0]["message"]["reasoning"].clone()
    };
    assert!(reasoning(json!({ "min_tokens": 20 })).await.is_string());
    for more in [
        json!({ "min_tokens": 20, "reasoning_effort": "none" }),
        json!({ "min_tokens": 20, "chat_template_kwargs": { "enable_thinking": false } }),
    ] {
        assert_eq!(reasoning(more).await, Value::Null);
    }
}

#[tokio::test]
async fn a_stream_has_reasoning_before_content() {
    let server = serve(&PARSER).await;
    let with_usage = json!({ "stream_options": { "include_usage": true } });
    let chunks = server.stream(CHAT, &think(&with_usage)).await.chunks();
    let deltas: Vec<_> = chunks[1..7].iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
    let reasoning = ["Let ", "me ", "see", ". "].map(|text| json!({ "reasoning": text }));
    let content = ["Two", "."].map(|text| json!({ "content": text }));
    assert_eq!(deltas, [&reasoning[..], &content[..]].concat());
    let usage = json!({ "prompt_tokens": 1, "total_tokens": 7, "completion_tokens": 6, "completion_tokens_details": { "reasoning_tokens": 4 } });
    assert_eq!(chunks[7]["usage"], usage);

    let hidden = server.stream(CHAT, &think(&json!({ "include_reasoning": false, "max_tokens": 3 }))).await.chunks();
    assert_eq!(hidden.len(), 2, "the role and the end");
    let last = &hidden[1]["choices"][0];
    assert_eq!((&last["delta"], &last["finish_reason"]), (&json!({}), &json!("length")));
}
