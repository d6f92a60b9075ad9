//! Tokens in, tokens out: the bytes that vLLM 0.33 sends, with our values in them.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::serve;

async fn post(server: &Server, body: &Value) -> (u16, String) {
    let headers = [("x-request-id", "abc")];
    let answer = server.post_text("/inference/v1/generate", "application/json", &body.to_string(), &headers).await;
    let text = answer.text;
    let (before, after) = text.split_once("\"created\":").unwrap_or((&text, ""));
    let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    (answer.status, if after.is_empty() { text } else { format!("{before}\"created\":0{after}") })
}

#[tokio::test]
async fn ids_are_continued_with_ids() {
    let server = serve("--mode echo").await;
    let prompt = server.post("/tokenize", &json!({ "prompt": "one two" })).await.json["tokens"].clone();
    let ids = serde_json::to_string(&prompt).unwrap();
    let body = json!({ "token_ids": prompt, "sampling_params": {} });
    let expected = format!(
        r#"{{"request_id":"generate-tokens-abc","model":"m","created":0,"usage":{{"prompt_tokens":2,"total_tokens":4,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":null}},"prompt_logprobs":null,"prompt_token_id_logprobs":null,"prompt_token_ids":null,"mm_placeholders":null,"metrics":null,"kv_transfer_params":null,"ec_transfer_params":null,"output_mode":"tokens","choices":[{{"index":0,"finish_reason":"stop","stop_reason":null,"token_ids":{ids},"routed_experts":null,"sampling_mask":null,"weight_versions":null,"logprobs":null}}]}}"#
    );
    assert_eq!(post(&server, &body).await, (200, expected));
}

#[tokio::test]
async fn a_stream_has_a_chunk_for_each_token() {
    let server = serve("--mode echo").await;
    let prompt = server.post("/tokenize", &json!({ "prompt": "one two" })).await.json["tokens"].clone();
    let body = json!({
        "token_ids": prompt,
        "sampling_params": { "max_tokens": 2 },
        "output_mode": "text",
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let chunk = |id: &Value, end: &str, text: &str| {
        format!(
            "data: {{\"request_id\":\"generate-tokens-abc\",\"usage\":null,\"output_mode\":\"text\",\"choices\":[{{\"index\":0,\
             \"finish_reason\":{end},\"stop_reason\":null,\"token_ids\":[{id}],\"routed_experts\":null,\
             \"sampling_mask\":null,\"weight_versions\":null,\"text\":\"{text}\",\"logprobs\":null}}]}}\n\n"
        )
    };
    let usage = r#"{"prompt_tokens":2,"total_tokens":4,"completion_tokens":2}"#;
    let expected = [
        chunk(&prompt[0], "null", "one "),
        chunk(&prompt[1], "\"length\"", "two"),
        format!(
            "data: {{\"request_id\":\"generate-tokens-abc\",\"usage\":{usage},\"output_mode\":\"text\",\"choices\":[]}}\n\n"
        ),
        "data: [DONE]\n\n".into(),
    ];
    assert_eq!(post(&server, &body).await, (200, expected.concat()));
}

#[tokio::test]
async fn what_is_wrong_with_ids_is_told() {
    let server = serve("--mode echo").await;
    for (body, param) in [
        (json!({ "token_ids": [1] }), "body.sampling_params"),
        (json!({ "token_ids": [], "sampling_params": {} }), "body.token_ids"),
        (json!({ "token_ids": [-1], "sampling_params": {} }), "body.token_ids"),
        (json!({ "token_ids": [1], "sampling_params": { "logprobs": -2 } }), "logprobs"),
    ] {
        let (status, text) = post(&server, &body).await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &error["error"]["param"]), (400, &json!(param)), "{body}: {text}");
    }
    // More than there is room for is as much as there is room for.
    let much = json!({ "token_ids": [1], "sampling_params": { "max_tokens": 1_000_000 } });
    assert_eq!(post(&server, &much).await.0, 200);
}
