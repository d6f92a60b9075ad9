//! Log-probabilities: made up, but whole, in vLLM's shape, and the same each time.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::serve;

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

/// What all chunks of a stream say together.
fn joined(chunks: &[Value], list: &str) -> Vec<Value> {
    let parts = chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"][list].as_array());
    parts.flatten().cloned().collect()
}

#[tokio::test]
async fn a_chat_has_one_entry_for_each_token_whole_or_streamed() {
    let server = serve("--mode echo").await;
    let body = |top: u32| {
        let more = json!({ "logprobs": true, "top_logprobs": top, "seed": 1, "max_tokens": 4 });
        Server::chat("one two three four five", &more)
    };
    let answer = server.post(CHAT, &body(3)).await.json;
    let content = answer["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    let tokens: Vec<_> = content.iter().map(|entry| entry["token"].as_str().unwrap()).collect();
    assert_eq!(tokens, ["one ", "two ", "three ", "four "]);
    for entry in &content {
        let keys: Vec<_> = entry.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["token", "logprob", "bytes", "top_logprobs"]);
        let bytes: Vec<_> =
            entry["bytes"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), entry["token"].as_str().unwrap());
        let top = entry["top_logprobs"].as_array().unwrap();
        assert_eq!((top.len(), &top[0]["token"], &top[0]["logprob"]), (3, &entry["token"], &entry["logprob"]));
        assert!(top.is_sorted_by(|one, next| one["logprob"].as_f64() > next["logprob"].as_f64()), "{top:?}");
    }
    assert_eq!(joined(&server.stream(CHAT, &body(3)).await.chunks(), "content"), content);
    let bare = server.post(CHAT, &body(0)).await.json;
    assert_eq!(bare["choices"][0]["logprobs"]["content"][0]["top_logprobs"], json!([]));
    assert_eq!(bare["choices"][0]["logprobs"]["content"][2]["logprob"], content[2]["logprob"]);
}

#[tokio::test]
async fn a_text_completion_has_lists_of_its_tokens() {
    let server = serve("--mode echo").await;
    let body = json!({ "prompt": "né one two", "logprobs": 2, "seed": 1 });
    let logprobs = server.post(TEXT, &body).await.json["choices"][0]["logprobs"].clone();
    assert_eq!(logprobs["tokens"], json!(["né ", "one ", "two"]));
    assert_eq!(logprobs["text_offset"], json!([0, 3, 7]));
    for (at, top) in logprobs["top_logprobs"].as_array().unwrap().iter().enumerate() {
        let top = top.as_object().unwrap();
        assert_eq!((top.len(), &top[logprobs["tokens"][at].as_str().unwrap()]), (2, &logprobs["token_logprobs"][at]));
    }
    let chunks = server.stream(TEXT, &body).await.chunks();
    for list in ["tokens", "text_offset", "token_logprobs", "top_logprobs"] {
        assert_eq!(joined(&chunks, list), *logprobs[list].as_array().unwrap(), "{list}");
    }
}

#[tokio::test]
async fn a_plugin_may_say_how_likely_its_tokens_were() {
    let plugin = format!("guest={}", rehearsal_tests::MISBEHAVE);
    for parser in [&["--reasoning-parser", "qwen3"][..], &[]] {
        let args = [&["--model", "m", "--mode", "guest", "--plugin", &plugin], parser].concat();
        let server = Server::start(crate::EXE, &args).await;
        let body = Server::chat("be sure", &json!({ "logprobs": true, "top_logprobs": 3 }));
        let content = server.post(CHAT, &body).await.json["choices"][0]["logprobs"]["content"].clone();
        let told: Vec<_> = content.as_array().unwrap().iter().map(|token| token["logprob"].as_f64().unwrap()).collect();
        // One token, with tags around it where no parser tells it apart.
        let n_thought = told.len() - 3;
        assert_eq!(n_thought == 1, !parser.is_empty(), "{told:?}");
        assert_eq!(told[n_thought..n_thought + 2], [-0.25, -0.5]);
        assert!((0.5_f64.ln()..0.0).contains(&told[n_thought + 2]), "the last is made up: {told:?}");
        let top = content[n_thought + 1]["top_logprobs"].as_array().unwrap();
        let top: Vec<_> = top.iter().map(|token| token["logprob"].as_f64().unwrap()).collect();
        assert_eq!(top, [-0.5, -2.0, -3.0]);
    }
    let server = Server::start(crate::EXE, &["--model", "m", "--mode", "guest", "--plugin", &plugin]).await;
    let answer = server.post(CHAT, &Server::chat("be too sure", &json!({}))).await;
    assert_eq!(
        (answer.status, &answer.json["error"]["code"]),
        (500, &json!("plugin_invalid_output")),
        "{}",
        answer.text
    );
    assert!(answer.text.contains("has 0.5 at token 0: expected 0 or less"), "{}", answer.text);
}

#[tokio::test]
async fn hidden_reasoning_hides_its_log_probabilities() {
    let plugin = format!("guest={}", rehearsal_tests::MISBEHAVE);
    let args = ["--model", "m", "--mode", "guest", "--plugin", &plugin, "--reasoning-parser", "qwen3"];
    let server = Server::start(crate::EXE, &args).await;
    for (include_reasoning, tokens) in
        [(true, json!(["Let ", "me ", "see", ". ", "Two", "."])), (false, json!(["Two", "."]))]
    {
        let body = Server::chat("think", &json!({ "logprobs": true, "include_reasoning": include_reasoning }));
        let whole = server.post(CHAT, &body).await.json["choices"][0]["logprobs"]["content"].clone();
        let streamed = joined(&server.stream(CHAT, &body).await.chunks(), "content");
        for content in [whole.as_array().unwrap(), &streamed] {
            let shown: Vec<_> = content.iter().map(|entry| entry["token"].clone()).collect();
            assert_eq!(Value::from(shown), tokens);
        }
    }
}

#[tokio::test]
async fn tokens_that_were_chosen_are_told_beside_the_one_that_came() {
    let server = serve("--mode echo").await;
    let ids = server.post("/tokenize", &json!({ "prompt": "one two other" })).await.json["tokens"].clone();
    let named = |more: Value| {
        let mut body = Server::chat("one two other", &more);
        body["return_tokens_as_token_ids"] = true.into();
        body["seed"] = 1.into();
        body["max_tokens"] = 2.into();
        body
    };
    let all = server.post(CHAT, &named(json!({ "logprobs": true, "top_logprobs": 20 }))).await.json;
    let chosen = server.post(CHAT, &named(json!({ "logprobs": true, "logprob_token_ids": ids }))).await.json;
    let names = ids.as_array().unwrap().iter().map(|id| format!("token_id:{id}")).collect::<Vec<_>>();
    for (position, expected) in [[0, 1, 2], [1, 0, 2]].into_iter().enumerate() {
        let entry = &chosen["choices"][0]["logprobs"]["content"][position];
        let told: Vec<_> = entry["top_logprobs"].as_array().unwrap().iter().map(|top| top["token"].clone()).collect();
        assert_eq!(told, expected.map(|at| json!(names[at])), "{entry}");
        assert_eq!(entry["logprob"], all["choices"][0]["logprobs"]["content"][position]["logprob"]);
    }
    let text = json!({ "prompt": "one two", "logprobs": 1, "logprob_token_ids": ids, "max_tokens": 1 });
    let top = server.post(TEXT, &text).await.json["choices"][0]["logprobs"]["top_logprobs"].clone();
    assert_eq!(top[0].as_object().unwrap().len(), 3, "{top}");
    let generate = |params: Value| json!({ "token_ids": ids, "sampling_params": params });
    let refused = server
        .post("/inference/v1/generate", &generate(json!({ "max_tokens": 2, "logprobs": 1, "logprob_token_ids": ids })))
        .await;
    assert_eq!((refused.status, &refused.json["error"]["param"]), (400, &json!("logprob_token_ids")));
    let silent =
        server.post("/inference/v1/generate", &generate(json!({ "max_tokens": 2, "logprob_token_ids": ids }))).await;
    assert_eq!(silent.json["choices"][0]["logprobs"], Value::Null, "{}", silent.text);
    for (more, param) in [
        (json!({ "logprob_token_ids": ids }), "logprob_token_ids"),
        (json!({ "logprob_token_ids": ids, "logprobs": 1, "echo": true, "max_tokens": 0 }), "logprob_token_ids"),
        (json!({ "logprobs": 1, "echo": true, "use_beam_search": true }), "echo"),
    ] {
        let mut body = json!({ "prompt": "one" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = server.post(TEXT, &body).await;
        assert_eq!((answer.status, &answer.json["error"]["param"]), (400, &json!(param)), "{body}");
    }
}
