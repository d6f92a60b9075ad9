//! Anthropic's API: the bytes that vLLM 0.33 sends, with our values in them.

use rehearsal_tests::{MISBEHAVE, Server};
use serde_json::{Value, json};

use crate::{EXE, serve};

const MESSAGES: &str = "/v1/messages";

/// With the id that the request names, which is all that answers to a seed have of their own.
async fn post(server: &Server, body: &Value) -> (u16, String) {
    let headers = [("x-request-id", "abc")];
    let answer = server.post_text(MESSAGES, "application/json", &body.to_string(), &headers).await;
    (answer.status, answer.text)
}

fn body(text: &str, more: &Value) -> Value {
    let mut body = json!({ "model": "m", "max_tokens": 64, "messages": [{ "role": "user", "content": text }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_message_has_vllms_keys_in_vllms_order() {
    let server = serve("--mode echo").await;
    for (more, content, end) in [
        (
            json!({}),
            r#"{"type":"text","text":"one two"}"#,
            r#""stop_reason":"end_turn","usage":{"input_tokens":2,"output_tokens":2}"#,
        ),
        (
            json!({ "max_tokens": 1 }),
            r#"{"type":"text","text":"one "}"#,
            r#""stop_reason":"max_tokens","usage":{"input_tokens":2,"output_tokens":1}"#,
        ),
        (
            json!({ "stop_sequences": ["two"] }),
            r#"{"type":"text","text":"one "}"#,
            r#""stop_reason":"stop_sequence","stop_sequence":"two","usage":{"input_tokens":2,"output_tokens":2}"#,
        ),
    ] {
        let expected = format!(
            r#"{{"id":"chatcmpl-abc","type":"message","role":"assistant","content":[{content}],"model":"m",{end}}}"#
        );
        assert_eq!(post(&server, &body("one two", &more)).await, (200, expected));
    }
    let empty = post(&server, &body("", &json!({}))).await.1;
    assert!(empty.contains(r#""content":[{"type":"text","text":""}]"#), "{empty}");
}

#[tokio::test]
async fn a_streamed_message_is_blocks_that_begin_grow_and_end() {
    let server = serve("--mode echo").await;
    let (status, text) = post(&server, &body("one two", &json!({ "stream": true }))).await;
    assert_eq!(status, 200);
    assert_eq!(
        text,
        [
            r#"event: message_start
data: {"type":"message_start","message":{"id":"chatcmpl-abc","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":2,"output_tokens":0}}}"#,
            r#"event: content_block_start
data: {"type":"content_block_start","content_block":{"type":"text","text":""},"index":0}"#,
            r#"event: content_block_delta
data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"one "},"index":0}"#,
            r#"event: content_block_delta
data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"two"},"index":0}"#,
            r#"event: content_block_stop
data: {"type":"content_block_stop","index":0}"#,
            r#"event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":2,"output_tokens":2}}"#,
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ]
        .join("\n\n")
    );
    let nothing = post(&server, &body("", &json!({ "stream": true }))).await.1;
    assert!(!nothing.contains("content_block"), "{nothing}");
}

#[tokio::test]
async fn thinking_is_a_block_with_a_signature() {
    let plugin = format!("guest={MISBEHAVE}");
    let args = ["--model", "m", "--mode", "guest", "--plugin", &plugin, "--reasoning-parser", "qwen3"];
    let server = Server::start(EXE, &args).await;
    let whole: Value = serde_json::from_str(&post(&server, &body("think", &json!({}))).await.1).unwrap();
    let blocks = whole["content"].as_array().unwrap();
    assert_eq!(
        (&blocks[0]["thinking"], &blocks[1]),
        (&json!("Let me see. "), &json!({ "type": "text", "text": "Two." }))
    );
    let signature = blocks[0]["signature"].as_str().unwrap();
    assert_eq!(signature.len(), 32);
    let stream = post(&server, &body("think", &json!({ "stream": true }))).await.1;
    let signed = format!(
        r#"{{"type":"content_block_delta","delta":{{"type":"signature_delta","signature":"{signature}"}},"index":0}}"#
    );
    let next = r#"{"type":"content_block_start","content_block":{"type":"text","text":""},"index":1}"#;
    assert!(stream.contains(&signed) && stream.contains(next), "{stream}");
}

#[tokio::test]
async fn tools_are_used_whole_and_streamed() {
    let server = serve("--seed 1").await;
    let tool =
        json!({ "name": "f", "input_schema": { "properties": { "a": { "type": "integer" } }, "required": ["a"] } });
    let more = json!({ "tools": [tool], "tool_choice": { "type": "any" } });
    let whole: Value = serde_json::from_str(&post(&server, &body("hi", &more)).await.1).unwrap();
    let block = &whole["content"][0];
    assert_eq!(
        (&block["type"], &block["name"], &whole["stop_reason"]),
        (&json!("tool_use"), &json!("f"), &json!("tool_use"))
    );
    assert!(block["input"]["a"].is_i64() && block["id"].as_str().unwrap().starts_with("chatcmpl-tool-"), "{block}");
    let mut streamed = body("hi", &more);
    streamed["stream"] = true.into();
    let stream = post(&server, &streamed).await.1;
    assert!(stream.contains(r#""content_block":{"type":"tool_use","id":"chatcmpl-tool-"#), "{stream}");
    assert!(stream.contains(r#""delta":{"type":"input_json_delta","partial_json":"{"#), "{stream}");
    assert!(stream.contains(r#""delta":{"stop_reason":"tool_use","stop_sequence":null}"#), "{stream}");
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_in_openais_shape_and_all_else_in_anthropics() {
    let server = serve("--max-model-len 100").await;
    for (more, status, shape) in [
        (json!({ "max_tokens": 0 }), 400, r#"{"error":{"message":"1 validation error:"#),
        (
            json!({ "model": "other" }),
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"The model `other` does not exist. Valid aliases: m."}}"#,
        ),
        (
            json!({ "temperature": 3 }),
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"temperature must be in [0, 2], got 3.0 (parameter=temperature, value=3.0)"}}"#,
        ),
        (
            json!({ "max_tokens": 101 }),
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_completion_tokens=101 cannot be greater"#,
        ),
    ] {
        let (got, text) = post(&server, &body("hi", &more)).await;
        assert!(got == status && text.starts_with(shape), "{more}: {got} {text}");
    }
    let late = body(
        "hi",
        &json!({ "stream": true, "thinking": { "type": "enabled", "budget_tokens": 1024 }, "max_tokens": 2000 }),
    );
    let (status, text) = post(&serve("--max-model-len 4k").await, &late).await;
    let event = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",";
    assert!(status == 200 && text.starts_with(event), "{status} {text}");
}

#[tokio::test]
async fn tokens_are_counted_as_the_message_is_charged() {
    let server = serve("").await;
    let more = json!({ "system": [{ "type": "text", "text": "Be brief." }] });
    let message: Value = serde_json::from_str(&post(&server, &body("one two", &more)).await.1).unwrap();
    let counted = server.post("/v1/messages/count_tokens", &body("one two", &more)).await;
    let n_tokens = message["usage"]["input_tokens"].clone();
    let expected =
        format!(r#"{{"input_tokens":{n_tokens},"context_management":{{"original_input_tokens":{n_tokens}}}}}"#);
    assert_eq!((counted.status, counted.text), (200, expected));
}
