//! The tokenizer, asked over HTTP.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::serve;

#[tokio::test]
async fn a_text_comes_back_from_its_tokens() {
    let server = serve("--max-model-len 77").await;
    let text = "Hello, world!  你好 👩‍👩‍👧‍👦\n";
    let there = server.post("/tokenize", &json!({ "prompt": text, "return_token_strs": true })).await;
    assert_eq!((there.status, &there.json["max_model_len"]), (200, &json!(77)));
    assert!(there.text.starts_with("{\"count\":"), "{}", there.text);
    let tokens = there.json["tokens"].as_array().unwrap();
    assert_eq!(there.json["count"], tokens.len());
    let strings: String =
        there.json["token_strs"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(strings, text);
    let back = server.post("/detokenize", &json!({ "tokens": tokens })).await;
    assert_eq!((back.status, back.json), (200, json!({ "prompt": text })));
}

#[tokio::test]
async fn the_count_is_what_a_request_is_charged_for() {
    let server = serve("--mode echo").await;
    let parts = json!([{ "type": "text", "text": "x" }, { "type": "text", "text": "y z" }]);
    for body in [
        Server::chat("one two three", &json!({})),
        json!({ "messages": [{ "role": "system", "content": "Be kind." }, { "role": "user", "content": parts }] }),
    ] {
        let counted = server.post("/tokenize", &body).await.json;
        let charged = server.post("/v1/chat/completions", &body).await.json;
        assert_eq!(counted["count"], charged["usage"]["prompt_tokens"], "{body}");
        assert_eq!(counted["token_strs"], Value::Null);
    }
}

#[tokio::test]
async fn wrong_bodies_have_vllms_errors() {
    let server = serve("").await;
    for (path, body, param, lines) in [
        ("/tokenize", json!({}), "body.prompt", 3),
        ("/tokenize", json!({ "prompt": 5 }), "body.prompt", 3),
        ("/detokenize", json!({}), "body.tokens", 2),
        ("/detokenize", json!({ "tokens": [1, -1] }), "body.tokens.1", 2),
    ] {
        let answer = server.post(path, &body).await;
        let error = &answer.json["error"];
        assert_eq!((answer.status, &error["type"], &error["param"]), (400, &json!("Bad Request"), &json!(param)));
        assert_eq!(error["message"].as_str().unwrap().lines().count(), lines, "{error}");
    }
    let unknown = server.post("/tokenize", &json!({ "model": "other", "prompt": "x" })).await;
    assert_eq!(unknown.status, 404);
    let too_large = server.post("/detokenize", &json!({ "tokens": [5_000_000_000_u64] })).await;
    assert_eq!((too_large.status, &too_large.json["error"]["type"]), (400, &json!("BadRequestError")));
}
