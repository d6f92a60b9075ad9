//! Bytes on the wire, key by key: what vLLM 0.33 sends, with our values in it.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::serve;

/// Puts placeholders where answers differ from run to run.
fn normal(text: &str, value: &Value) -> String {
    let created = value["created"].to_string();
    text.replace(&format!("\"created\":{created}"), "\"created\":0")
}

async fn stream(server: &Server, path: &str, body: Value) -> Vec<String> {
    let answer = server.stream(path, &body).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/event-stream; charset=utf-8"));
    let chunk = |data: &str| normal(data, &serde_json::from_str(data).unwrap_or_default());
    answer.events.iter().map(|event| chunk(&event.data)).collect()
}

const FINGERPRINT: &str = "vllm-0.33.0-38ce5e2d";

#[tokio::test]
async fn a_chat_answer_has_vllms_keys_in_vllms_order() {
    let server = serve("--mode echo").await;
    let body = Server::chat("Hello", &json!({ "request_id": "abc" })).to_string();
    let answer = server.post_text("/v1/chat/completions", "application/json; charset=utf-8", &body, &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        normal(&answer.text, &answer.json),
        format!(
            r#"{{"id":"chatcmpl-abc","object":"chat.completion","created":0,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hello","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null}},"logprobs":null,"finish_reason":"stop","stop_reason":null,"token_ids":null,"routed_experts":null,"weight_versions":null}}],"service_tier":null,"system_fingerprint":"{FINGERPRINT}","usage":{{"prompt_tokens":1,"total_tokens":2,"completion_tokens":1,"prompt_tokens_details":null,"completion_tokens_details":null}},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}}"#
        )
    );
}

#[tokio::test]
async fn a_text_answer_has_vllms_keys_in_vllms_order() {
    let server = serve("--mode echo").await;
    let answer =
        server.post("/v1/completions", &json!({ "prompt": "Hi there", "max_tokens": 1, "request_id": "abc" })).await;
    assert_eq!(
        normal(&answer.text, &answer.json),
        format!(
            r#"{{"id":"cmpl-abc","object":"text_completion","created":0,"model":"m","choices":[{{"index":0,"text":"Hi ","logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null,"routed_experts":null,"weight_versions":null}}],"service_tier":null,"system_fingerprint":"{FINGERPRINT}","usage":{{"prompt_tokens":2,"total_tokens":3,"completion_tokens":1,"prompt_tokens_details":null,"completion_tokens_details":null}},"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}}"#
        )
    );
}

#[tokio::test]
async fn a_chat_stream_has_vllms_chunks() {
    let server = serve("--mode echo").await;
    let head = r#"{"id":"chatcmpl-abc","object":"chat.completion.chunk","created":0,"model":"m","choices":["#;
    let role = format!(
        r#"{head}{{"index":0,"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}],"prompt_token_ids":null,"prompt_text":null}}"#
    );
    let token = format!(
        r#"{head}{{"index":0,"delta":{{"content":"Say "}},"logprobs":null,"finish_reason":null,"token_ids":null}}],"kv_transfer_params":null}}"#
    );
    let last = |fingerprint: &str| {
        format!(
            r#"{head}{{"index":0,"delta":{{"content":"\"hé\""}},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"weight_versions":null}}],{fingerprint}"kv_transfer_params":null}}"#
        )
        .replace(r#"\"hé\""#, "hé")
    };
    let with_fingerprint = last(&format!(r#""system_fingerprint":"{FINGERPRINT}","#));
    let body = Server::chat("Say hé", &json!({ "request_id": "abc", "max_tokens": 2 }));
    assert_eq!(
        stream(&server, "/v1/chat/completions", body.clone()).await,
        [role.clone(), token.clone(), with_fingerprint, "[DONE]".into()]
    );

    let mut with_usage = body;
    with_usage["stream_options"] = json!({ "include_usage": true });
    let usage = format!(
        r#"{{"id":"chatcmpl-abc","object":"chat.completion.chunk","created":0,"model":"m","choices":[],"usage":{{"prompt_tokens":2,"total_tokens":4,"completion_tokens":2}},"system_fingerprint":"{FINGERPRINT}"}}"#
    );
    assert_eq!(
        stream(&server, "/v1/chat/completions", with_usage).await,
        [role, token, last(""), usage, "[DONE]".into()]
    );
}

#[tokio::test]
async fn a_text_stream_has_vllms_chunks() {
    let server = serve("--mode echo").await;
    let head = r#"{"id":"cmpl-abc","object":"text_completion","created":0,"model":"m","choices":["#;
    let tail = r#""prompt_token_ids":null,"token_ids":null,"weight_versions":null}]"#;
    assert_eq!(
        stream(&server, "/v1/completions", json!({ "prompt": "Hi you", "request_id": "abc" })).await,
        [
            format!(
                r#"{head}{{"index":0,"text":"Hi ","logprobs":null,"finish_reason":null,"stop_reason":null,{tail},"kv_transfer_params":null}}"#
            ),
            format!(
                r#"{head}{{"index":0,"text":"you","logprobs":null,"finish_reason":"stop","stop_reason":null,{tail},"system_fingerprint":"{FINGERPRINT}","kv_transfer_params":null}}"#
            ),
            "[DONE]".into()
        ]
    );
}

#[tokio::test]
async fn a_model_card_has_vllms_keys_in_vllms_order() {
    let server = serve("--served-model-name a b").await;
    let answer = server.get("/v1/models").await;
    let card = &answer.json["data"][1];
    let permission = card["permission"][0]["id"].as_str().unwrap();
    assert_eq!(permission.len(), "modelperm-".len() + 16);
    let created = card["created"].to_string();
    assert!(answer.text.ends_with(&format!(
        r#"{{"id":"b","object":"model","created":{created},"owned_by":"vllm","root":"m","parent":null,"max_model_len":1024,"permission":[{{"id":"{permission}","object":"model_permission","created":{created},"allow_create_engine":false,"allow_sampling":true,"allow_logprobs":true,"allow_search_indices":false,"allow_view":true,"allow_fine_tuning":false,"organization":"*","group":null,"is_blocking":false}}]}}]}}"#
    )), "{}", answer.text);
}

#[tokio::test]
async fn probes_answer_as_vllms() {
    let server = serve("").await;
    for path in ["/health", "/health/ready", "/ready", "/ping"] {
        let answer = server.get(path).await;
        let (length, media_type) = (answer.header("content-length"), answer.header("content-type"));
        assert_eq!((answer.status, answer.text.as_str(), length, media_type), (200, "", Some("0"), None), "{path}");
    }
    assert_eq!(server.get("/version").await.text, r#"{"version":"0.33.0"}"#);
    assert_eq!(server.post("/ping", &json!({})).await.status, 200);
    let missing = server.get("/v1/nothing").await;
    assert_eq!((missing.status, missing.text.as_str()), (404, r#"{"detail":"Not Found"}"#));
    let wrong_method = server.get("/v1/chat/completions").await;
    assert_eq!((wrong_method.status, wrong_method.text.as_str()), (405, r#"{"detail":"Method Not Allowed"}"#));
}
