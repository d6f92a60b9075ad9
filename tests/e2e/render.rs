//! Requests rendered for `/inference/v1/generate`, and SageMaker's one endpoint for all.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::serve;

async fn post(server: &Server, path: &str, body: &Value, headers: &[(&str, &str)]) -> (u16, String) {
    let headers = [&[("x-request-id", "abc")], headers].concat();
    let answer = server.post_text(path, "application/json", &body.to_string(), &headers).await;
    (answer.status, answer.text)
}

#[tokio::test]
async fn a_rendered_conversation_has_vllms_keys_in_vllms_order() {
    let server = serve("--mode echo --max-model-len 512").await;
    let ids = server.post("/tokenize", &json!({ "prompt": "one two" })).await.json["tokens"].to_string();
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "one two" }] });
    let expected = format!(
        r#"{{"request_id":"chatcmpl-abc","token_ids":{ids},"token_offsets":null,"features":null,"content_parts":null,"sampling_params":{{"presence_penalty":0.0,"frequency_penalty":0.0,"repetition_penalty":1.0,"temperature":1.0,"top_p":1.0,"min_p":0.0,"stop":[],"stop_token_ids":[],"max_tokens":510,"output_kind":2,"skip_clone":true,"bad_words":[],"skip_reading_prefix_cache":false}},"model":"m","reasoning_ended":null,"reasoning_parser_kwargs":null,"return_token_ids":null,"output_mode":"tokens","parse_context":{{"tools":null,"tool_choice":"none","parallel_tool_calls":true,"include_reasoning":true,"chat_template_kwargs":{{"add_generation_prompt":true,"continue_final_message":false}},"history_tool_call_cnt":0}},"stream":false,"stream_options":null,"cache_salt":null,"priority":0,"kv_transfer_params":null,"ec_transfer_params":null}}"#
    );
    assert_eq!(post(&server, "/v1/chat/completions/render", &body, &[]).await, (200, expected));
}

#[tokio::test]
async fn what_is_not_as_usual_is_rendered() {
    let server = serve("--mode echo").await;
    let body = json!({
        "messages": [{ "role": "user", "content": "one two" }],
        "n": 2, "max_tokens": 16, "top_k": 5, "seed": 1, "stop": "a", "ignore_eos": true, "logprobs": true,
        "top_logprobs": 3, "logit_bias": { "65": 1.5 }, "vllm_xargs": { "a": 1 }, "stream": true,
        "response_format": { "type": "json_object" },
    });
    let text = post(&server, "/v1/chat/completions/render", &body, &[]).await.1;
    let rendered: Value = serde_json::from_str(&text).unwrap();
    let expected = concat!(
        r#"{"n":2,"presence_penalty":0.0,"frequency_penalty":0.0,"repetition_penalty":1.0,"temperature":1.0,"#,
        r#""top_p":1.0,"top_k":5,"min_p":0.0,"seed":1,"stop":["a"],"stop_token_ids":[],"ignore_eos":true,"logprobs":3,"#,
        r#""output_kind":1,"skip_clone":true,"structured_outputs":{"json":null,"regex":null,"choice":null,"#,
        r#""grammar":null,"json_object":true,"disable_any_whitespace":false,"disable_additional_properties":false,"#,
        r#""whitespace_pattern":null,"structural_tag":null,"_backend":null,"_backend_was_auto":false},"#,
        r#""logit_bias":{"65":1.5},"extra_args":{"a":1},"bad_words":[],"skip_reading_prefix_cache":false}"#
    );
    assert!(text.contains(expected), "{text}");
    assert_eq!(rendered["parse_context"]["tool_choice"], "none");
}

#[tokio::test]
async fn what_was_rendered_is_answered_as_the_request_itself() {
    let server = serve("--mode echo").await;
    for (path, body) in [
        ("/v1/chat/completions", json!({ "messages": [{ "role": "user", "content": "one two" }], "max_tokens": 1 })),
        ("/v1/completions", json!({ "prompt": ["one two", "three"], "max_tokens": 16 })),
    ] {
        let answer = server.post(path, &body).await.json;
        let rendered = server.post(&format!("{path}/render"), &body).await.json;
        let rendered = rendered.as_array().cloned().unwrap_or_else(|| vec![rendered]);
        for (index, request) in rendered.iter().enumerate() {
            let mut request = request.clone();
            request["output_mode"] = "text".into();
            let generated = server.post("/inference/v1/generate", &request).await;
            assert_eq!(generated.status, 200, "{}", generated.text);
            let (theirs, ours) = (&generated.json["choices"][0], &answer["choices"][index]);
            let text = if ours["text"].is_null() { &ours["message"]["content"] } else { &ours["text"] };
            assert_eq!((&theirs["text"], &theirs["finish_reason"]), (text, &ours["finish_reason"]));
        }
    }
}

#[tokio::test]
async fn a_body_is_invoked_as_what_it_is() {
    let server = serve("--mode echo --lora-modules ad=/ad").await;
    let chat = json!({ "model": "no such", "messages": [{ "role": "user", "content": "one" }] });
    let adapter = "x-amzn-sagemaker-adapter-identifier";
    for (body, headers, status, expected) in [
        (chat.clone(), vec![], 200, r#""object":"chat.completion""#),
        (json!({ "prompt": "one" }), vec![], 200, r#""object":"text_completion""#),
        (chat.clone(), vec![(adapter, "ad")], 200, r#""model":"ad""#),
        (chat.clone(), vec![(adapter, "other")], 404, "`other` does not exist"),
        (chat.clone(), vec![("x-amzn-sagemaker-session-id", "s")], 400, "stateful sessions not enabled"),
        (json!({ "requestType": "NEW_SESSION" }), vec![], 400, "stateful sessions not enabled"),
        (json!({ "messages": "x" }), vec![], 400, r#""param":"prompt""#),
        (json!({ "prompt": "x", "max_tokens": "a" }), vec![], 400, "Cannot find suitable handler for request"),
        (json!([1]), vec![], 400, "the body must be an object, not list"),
    ] {
        let answer = post(&server, "/invocations", &body, &headers).await;
        assert!(answer.0 == status && answer.1.contains(expected), "{body} {headers:?}: {answer:?}");
    }
    let broken = server.post_text("/invocations", "application/json", "{\n x", &[]).await;
    let message = "JSON decode error: Expecting property name enclosed in double quotes: line 2 column 2 (char 3)";
    assert_eq!((broken.status, &broken.json["error"]["message"]), (400, &json!(message)));
}
