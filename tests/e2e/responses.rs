//! The Responses API: the bytes that vLLM 0.33 sends, with our values in them.

use rehearsal_tests::{MISBEHAVE, Server};
use serde_json::{Value, json};

use crate::{EXE, serve};

const RESPONSES: &str = "/v1/responses";

/// Ids and times are told apart, but not kept.
async fn post(server: &Server, body: &Value) -> (u16, String) {
    let answer = server.post_text(RESPONSES, "application/json", &body.to_string(), &[]).await;
    (answer.status, masked(&answer.text))
}

fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) =
        ["resp_", "msg_", "fc_", "call_", "rs_"].iter().filter_map(|id| rest.find(&format!("\"{id}"))).min()
    {
        let (before, id) = rest.split_at(at + 1);
        let end = id.find('"').unwrap();
        out.push_str(before);
        out.push_str(&id[..=id.find('_').unwrap()]);
        out.push('X');
        rest = &id[end..];
    }
    out.push_str(rest);
    let mut parts = out.split("\"created_at\":");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |out, part| {
        out + "\"created_at\":0" + part.trim_start_matches(|digit: char| digit.is_ascii_digit())
    })
}

/// A response of one message, or of none yet.
fn object(status: &str, output: &str, usage: &str) -> String {
    format!(
        r#"{{"id":"resp_X","created_at":0,"incomplete_details":null,"instructions":null,"metadata":null,"model":"m","object":"response","output":[{output}],"parallel_tool_calls":true,"temperature":1.0,"tool_choice":"none","tools":[],"top_p":1.0,"background":false,"max_output_tokens":8190,"max_tool_calls":null,"previous_response_id":null,"prompt":null,"prompt_cache_options":null,"prompt_cache_key":null,"prompt_cache_retention":null,"reasoning":null,"safety_identifier":null,"service_tier":"auto","status":"{status}","text":null,"top_logprobs":null,"truncation":"disabled","usage":{usage},"user":null,"presence_penalty":0.0,"frequency_penalty":0.0,"kv_transfer_params":null,"ec_transfer_params":null,"input_messages":null,"output_messages":null}}"#
    )
}

const MESSAGE: &str = r#"{"id":"msg_X","content":[{"annotations":[],"text":"one two","type":"output_text","logprobs":null}],"role":"assistant","status":"completed","type":"message","phase":null}"#;

const USAGE: &str = r#"{"input_tokens":2,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"input_tokens_per_turn":[],"cached_tokens_per_turn":[]},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0,"tool_output_tokens":0,"output_tokens_per_turn":[],"tool_output_tokens_per_turn":[]},"total_tokens":4}"#;

#[tokio::test]
async fn a_response_has_vllms_keys_in_vllms_order() {
    let server = serve("--mode echo --max-model-len 8192").await;
    let body = json!({ "model": "m", "input": "one two" });
    assert_eq!(post(&server, &body).await, (200, object("completed", MESSAGE, USAGE)));
}

#[tokio::test]
async fn a_streamed_response_is_items_that_begin_grow_and_end() {
    let server = serve("--mode echo --max-model-len 8192").await;
    let (status, text) = post(&server, &json!({ "model": "m", "input": "one two", "stream": true })).await;
    let begun = object("in_progress", "", "null");
    let whole = object("completed", MESSAGE, USAGE);
    let part = r#"{"annotations":[],"text":"one two","type":"output_text","logprobs":null}"#;
    let events = [
        ("created", format!(r#""response":{begun}"#)),
        ("in_progress", format!(r#""response":{begun}"#)),
        (
            "output_item.added",
            r#""item":{"id":"msg_X","content":[],"role":"assistant","status":"in_progress","type":"message","phase":null},"output_index":0"#.into(),
        ),
        (
            "content_part.added",
            r#""content_index":0,"item_id":"msg_X","output_index":0,"part":{"annotations":[],"text":"","type":"output_text","logprobs":[]}"#.into(),
        ),
        (
            "output_text.delta",
            r#""content_index":0,"delta":"one ","item_id":"msg_X","logprobs":[],"output_index":0"#.into(),
        ),
        (
            "output_text.delta",
            r#""content_index":0,"delta":"two","item_id":"msg_X","logprobs":[],"output_index":0"#.into(),
        ),
        (
            "output_text.done",
            r#""content_index":0,"item_id":"msg_X","logprobs":[],"output_index":0,"sequence_number":6,"text":"one two""#.into(),
        ),
        ("content_part.done", format!(r#""content_index":0,"item_id":"msg_X","output_index":0,"part":{part}"#)),
        ("output_item.done", format!(r#""item":{MESSAGE},"output_index":0"#)),
        ("completed", format!(r#""response":{whole}"#)),
    ];
    let expected = events.iter().enumerate().map(|(number, (name, data))| {
        // The fields are in the order of the alphabet, so that one event's text comes after its number.
        let number =
            if *name == "output_text.done" { String::new() } else { format!(r#","sequence_number":{number}"#) };
        format!("event: response.{name}\ndata: {{{data}{number},\"type\":\"response.{name}\"}}\n\n")
    });
    assert_eq!((status, text), (200, expected.collect()));
}

#[tokio::test]
async fn a_response_tells_what_the_model_read_and_wrote() {
    let server = serve("--mode echo").await;
    let ids = server.post("/tokenize", &json!({ "prompt": "one two" })).await.json["tokens"].clone();
    let told = json!([{ "message": "one two", "tokens": ids, "type": "raw_message_tokens" }]);
    for stream in [false, true] {
        let body = json!({ "input": "one two", "enable_response_messages": true, "stream": stream });
        let (_, text) = post(&server, &body).await;
        let expected = format!(r#""input_messages":{told},"output_messages":{told}"#);
        assert!(text.contains(&expected), "{text}");
    }
}

#[tokio::test]
async fn a_cut_response_is_incomplete() {
    let server = serve("--mode echo").await;
    for stream in [false, true] {
        let body = json!({ "model": "m", "input": "one two", "max_output_tokens": 1, "stream": stream });
        let (_, text) = post(&server, &body).await;
        assert!(text.contains(r#""incomplete_details":{"reason":"max_output_tokens"}"#), "{text}");
        assert!(text.contains(r#""status":"incomplete""#), "{text}");
        assert_eq!(text.contains("event: response.incomplete"), stream, "{text}");
    }
}

#[tokio::test]
async fn reasoning_is_an_item_of_its_own() {
    let plugin = format!("guest={MISBEHAVE}");
    let args = ["--model", "m", "--mode", "guest", "--plugin", &plugin, "--reasoning-parser", "qwen3"];
    let server = Server::start(EXE, &args).await;
    let whole: Value = serde_json::from_str(&post(&server, &json!({ "input": "think" })).await.1).unwrap();
    let output = whole["output"].as_array().unwrap();
    assert_eq!(output[0]["type"], "reasoning");
    assert_eq!(output[0]["content"], json!([{ "text": "Let me see. ", "type": "reasoning_text" }]));
    assert_eq!(output[1]["content"][0]["text"], "Two.");
    let stream = post(&server, &json!({ "input": "think", "stream": true })).await.1;
    let delta = stream.find("event: response.reasoning_text.delta").unwrap();
    assert!(delta < stream.find("event: response.output_text.delta").unwrap(), "{stream}");
}

#[tokio::test]
async fn tools_are_called_whole_and_streamed() {
    let server = serve("--seed 1").await;
    let parameters = json!({ "properties": { "a": { "type": "integer" } }, "required": ["a"] });
    let mut body = json!({
        "input": "hi",
        "tools": [{ "type": "function", "name": "f", "parameters": parameters }],
        "tool_choice": "required",
    });
    let whole: Value = serde_json::from_str(&post(&server, &body).await.1).unwrap();
    let call = &whole["output"][0];
    assert_eq!(
        (&call["type"], &call["name"], &call["status"]),
        (&json!("function_call"), &json!("f"), &json!("completed"))
    );
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments["a"].is_i64(), "{call}");
    body["stream"] = true.into();
    let stream = post(&server, &body).await.1;
    for event in ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "completed"] {
        assert!(stream.contains(&format!("event: response.{event}\n")), "{event}: {stream}");
    }
}

#[tokio::test]
async fn a_kept_response_is_read_continued_and_cancelled() {
    let options = ["--model", "m", "--mode", "echo", "--time-to-first-token", "5s"];
    let server = Server::start_with_env(EXE, &options, &[("VLLM_ENABLE_RESPONSES_API_STORE", "1")]).await;
    let made = server.post(RESPONSES, &json!({ "input": "one", "background": true })).await;
    assert_eq!((made.status, &made.json["status"]), (200, &json!("queued")));
    let id = made.json["id"].as_str().unwrap().to_owned();
    let cancelled = server.post(&format!("{RESPONSES}/{id}/cancel"), &json!({})).await;
    assert_eq!((cancelled.status, &cancelled.json["status"]), (200, &json!("cancelled")));
    let again = server.post(&format!("{RESPONSES}/{id}/cancel"), &json!({})).await;
    assert_eq!((again.status, &again.json["error"]["param"]), (400, &json!("response_id")));
    let kept = server.get(&format!("{RESPONSES}/{id}")).await;
    assert_eq!((kept.status, &kept.json["status"]), (200, &json!("cancelled")));
    let unknown = server.get("/v1/responses/resp_none").await;
    assert_eq!((unknown.status, &unknown.json["error"]["code"]), (404, &json!(404)));
}
