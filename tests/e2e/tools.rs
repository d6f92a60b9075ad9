//! Tool calls on the wire, whole and streamed.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::serve;

const CHAT: &str = "/v1/chat/completions";

fn weather(more: &Value) -> Value {
    let parameters = json!({ "type": "object", "required": ["city", "days"], "properties": {
        "city": { "type": "string", "enum": ["Oslo", "Lima"] },
        "days": { "type": "integer", "minimum": 1, "maximum": 9 },
    } });
    let tool = json!({ "type": "function", "function": { "name": "get_weather", "parameters": parameters } });
    let mut body = Server::chat("What is the weather?", &json!({ "tools": [tool], "seed": 1 }));
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

fn named() -> Value {
    json!({ "type": "function", "function": { "name": "get_weather" } })
}

#[tokio::test]
async fn a_call_has_vllms_keys_in_vllms_order() {
    let server = serve("").await;
    let answer = server.post(CHAT, &weather(&json!({ "tool_choice": "required" }))).await;
    let call = &answer.json["choices"][0]["message"]["tool_calls"][0];
    let (id, arguments) = (call["id"].as_str().unwrap(), call["function"]["arguments"].as_str().unwrap());
    assert_eq!((&id[..14], id.len()), ("chatcmpl-tool-", 30));
    let expected = format!(
        r#""message":{{"role":"assistant","content":"","refusal":null,"annotations":null,"audio":null,"function_call":null,"tool_calls":[{{"id":"{id}","type":"function","function":{{"name":"get_weather","arguments":{}}}}}],"reasoning":null}},"logprobs":null,"finish_reason":"tool_calls","stop_reason":null"#,
        json!(arguments)
    );
    assert!(answer.text.contains(&expected), "{}", answer.text);
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert!((1..=9).contains(&arguments["days"].as_i64().unwrap()), "{arguments}");
}

#[tokio::test]
async fn content_and_finish_reason_depend_on_what_chose_the_tool() {
    let server = serve("--tool-call-extra-call-probability 0").await;
    let named = server.post(CHAT, &weather(&json!({ "tool_choice": named() }))).await;
    assert_eq!(named.json["choices"][0]["message"]["content"], "");
    assert_eq!(named.json["choices"][0]["finish_reason"], "stop");
    assert_eq!(named.json["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 1);

    let none = server.post(CHAT, &weather(&json!({ "tool_choice": "none" }))).await;
    assert!(none.json["choices"][0]["message"].get("tool_calls").is_none());
    assert_eq!(none.json["choices"][0]["finish_reason"], "stop");

    // Without a choice, the model chooses: a call without content, or content without a call.
    let mut seen = [0, 0];
    for seed in 0..40 {
        let answer = server.post(CHAT, &weather(&json!({ "seed": seed }))).await;
        let choice = &answer.json["choices"][0];
        let calls = choice["message"].get("tool_calls").is_some();
        assert_eq!(choice["message"]["content"].is_null(), calls, "{choice}");
        assert_eq!(choice["finish_reason"] == "tool_calls", calls, "{choice}");
        seen[usize::from(calls)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}

#[tokio::test]
async fn after_a_tool_result_the_model_answers_with_text() {
    let server = serve("--mode echo").await;
    let messages = json!([
        { "role": "user", "content": "What is the weather?" },
        { "role": "assistant", "content": null, "tool_calls": [{ "id": "chatcmpl-tool-1", "type": "function",
            "function": { "name": "get_weather", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "chatcmpl-tool-1", "content": "sunny" },
    ]);
    for seed in 0..20 {
        let answer = server.post(CHAT, &weather(&json!({ "messages": messages, "seed": seed }))).await;
        assert_eq!(answer.json["choices"][0]["message"]["content"], "What is the weather?");
    }
}

#[tokio::test]
async fn a_stream_names_each_call_first_and_then_sends_its_arguments() {
    let server = serve("--tool-call-extra-call-probability 100 --inter-token-latency 2").await;
    let two = weather(&json!({}))["tools"][0].clone();
    let body = weather(&json!({ "tools": [two.clone(), two], "tool_choice": "required" }));
    let whole = server.post(CHAT, &body).await;
    let expected = whole.json["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(expected.len(), 2);

    let stream = server.stream(CHAT, &body).await;
    let chunks = stream.chunks();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0], &json!({ "role": "assistant", "content": "" }));
    let mut calls: Vec<(String, String)> = Vec::new();
    for delta in &deltas[1..] {
        assert!(delta.get("content").is_none(), "{delta}");
        let part = &delta["tool_calls"][0];
        let index = part["index"].as_u64().unwrap() as usize;
        if part.get("id").is_some() {
            assert_eq!(
                (index, &part["type"], &part["function"]["arguments"]),
                (calls.len(), &json!("function"), &json!(""))
            );
            calls.push((part["function"]["name"].as_str().unwrap().into(), String::new()));
        } else {
            assert_eq!(part.as_object().unwrap().len(), 2, "{part}");
            calls[index].1 += part["function"]["arguments"].as_str().unwrap();
        }
    }
    let whole: Vec<_> = expected
        .iter()
        .map(|call| {
            (call["function"]["name"].as_str().unwrap().into(), call["function"]["arguments"].as_str().unwrap().into())
        })
        .collect();
    assert_eq!(calls, whole);
    let reasons: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
    assert_eq!(reasons.iter().filter(|reason| !reason.is_null()).count(), 1);
    assert_eq!(reasons.last(), Some(&&json!("tool_calls")));
}

#[tokio::test]
async fn what_cannot_be_called_is_refused_with_the_reason() {
    let server = serve("").await;
    let ghost = json!({ "tool_choice": { "type": "function", "function": { "name": "ghost" } } });
    let answer = server.post(CHAT, &weather(&ghost)).await;
    assert_eq!((answer.status, answer.json["error"]["type"].as_str()), (400, Some("BadRequestError")));
    assert!(answer.text.contains("ghost"));
    let impossible = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "integer",
        "minimum": 5, "maximum": 1 } } });
    let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": impossible } }]);
    let answer = server.post(CHAT, &weather(&json!({ "tools": tools, "tool_choice": "required" }))).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("no integer is between 5 and 1"), "{}", answer.text);
}

#[tokio::test]
async fn calls_are_cut_at_the_limit() {
    let server = serve("").await;
    let answer = server.post(CHAT, &weather(&json!({ "tool_choice": "required", "max_tokens": 4 }))).await;
    assert_eq!(answer.json["choices"][0]["finish_reason"], "length");
    assert_eq!(answer.json["usage"]["completion_tokens"], 4);
}
