//! Failures on purpose, as clients see them.

use std::pin::pin;
use std::time::Duration;

use rehearsal_tests::{Answer, Server, in_time};
use serde_json::{Value, json};

use crate::EXE;
use crate::clock::queued;

const CHAT: &str = "/v1/chat/completions";

/// An echo server with these rules for its failures.
async fn serve(rules: &Value) -> Server {
    let config = format!("failure={}", json!({ "rules": rules }));
    let args = ["--model", "m", "--mode", "echo", "--max-num-seqs", "1", "--plugin-config", &config];
    Server::start(EXE, &args).await
}

async fn post(server: &Server, headers: &[(&str, &str)], more: &Value) -> Answer {
    let body = Server::chat("one two three four five six seven eight", more).to_string();
    server.post_text(CHAT, "application/json", &body, headers).await
}

/// The bytes of a stream, and whether its end was clean.
async fn raw(server: &Server, stream: bool) -> (String, bool) {
    let body = Server::chat("one two three four five six seven eight", &json!({ "stream": stream }));
    let request = server.http.post(format!("{}{CHAT}", server.url)).json(&body);
    // Cut before its first byte, an answer may not even have a head.
    let Ok(mut response) = request.send().await else { return (String::new(), false) };
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(part)) => bytes.extend_from_slice(&part),
            end => return (String::from_utf8(bytes).unwrap(), end.is_ok()),
        }
    }
}

#[tokio::test]
async fn every_type_has_its_status_type_and_param() {
    for (name, status, kind, param) in [
        ("rate_limit", 429, "RateLimitError", None),
        ("invalid_api_key", 401, "AuthenticationError", None),
        ("context_length", 400, "BadRequestError", Some("messages")),
        ("server_error", 503, "InternalServerError", None),
        ("invalid_request", 400, "BadRequestError", Some("model")),
        ("model_not_found", 404, "NotFoundError", Some("model")),
    ] {
        let args = ["--model", "m", "--failure-injection-rate", "100", "--failure-types", name];
        let server = Server::start(EXE, &args).await;
        for stream in [false, true] {
            let answer = post(&server, &[], &json!({ "stream": stream })).await;
            let error = &answer.json["error"];
            assert_eq!((answer.status, error["type"].as_str(), error["param"].as_str()), (status, Some(kind), param));
            assert_eq!(error["code"], status);
            assert_eq!(answer.header("retry-after").is_some(), status == 429);
        }
        assert_eq!(server.get("/v1/models").await.status, 200);
    }
}

#[tokio::test]
async fn a_header_forces_an_error_and_nothing_else_does() {
    let server = Server::start(EXE, &["--model", "m", "--mode", "echo"]).await;
    assert_eq!(post(&server, &[("X-Return-Error", "503")], &json!({})).await.status, 503);
    assert_eq!(post(&server, &[("X-Return-Error", "429")], &json!({})).await.header("retry-after"), Some("1"));
    let page = server.get("/metrics").await.text;
    assert!(page.contains("rehearsal_injected_failures_total{kind=\"error\"} 2\n"), "{page}");
    assert!(page.contains("rehearsal_injected_failures_total{kind=\"hang\"} 0\n"), "{page}");
    assert_eq!(post(&server, &[("X-Return-Error", "soon")], &json!({})).await.status, 400);
    assert_eq!(post(&server, &[], &json!({})).await.status, 200);
}

#[tokio::test]
async fn a_cut_breaks_the_body_where_it_is() {
    let server = serve(&json!([{ "failure": "disconnect", "moment": { "after-tokens": 5 } }])).await;
    let (stream, is_clean) = raw(&server, true).await;
    assert!(!is_clean && stream.contains("five ") && !stream.contains("six") && !stream.contains("[DONE]"), "{stream}");
    let (body, is_clean) = raw(&server, false).await;
    assert!(!is_clean && body.is_empty(), "{body}");

    let server = serve(&json!([{ "failure": "disconnect", "moment": "at-end" }])).await;
    let (stream, is_clean) = raw(&server, true).await;
    assert!(!is_clean && stream.contains("eight") && !stream.contains("[DONE]"), "{stream}");
}

#[tokio::test]
async fn an_error_in_the_middle_is_an_event_or_a_status() {
    let error = json!({ "error": { "status": 500, "message": "lost it", "type": "Oops" } });
    let server = serve(&json!([{ "failure": error, "moment": { "after-tokens": 2 } }])).await;
    let (stream, is_clean) = raw(&server, true).await;
    let end =
        "data: {\"error\":{\"message\":\"lost it\",\"type\":\"Oops\",\"param\":null,\"code\":500}}\n\ndata: [DONE]\n\n";
    assert!(is_clean && stream.ends_with(end) && stream.contains("two ") && !stream.contains("three"), "{stream}");
    let whole = post(&server, &[], &json!({})).await;
    assert_eq!((whole.status, whole.json["error"]["message"].as_str()), (500, Some("lost it")));
}

#[tokio::test]
async fn malformed_is_one_event_or_the_whole_body() {
    let server = serve(&json!([{ "failure": "malformed", "moment": { "after-tokens": 3 } }])).await;
    let (stream, is_clean) = raw(&server, true).await;
    let events: Vec<_> = stream.trim_end().split("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    let broken = events.iter().filter(|event| serde_json::from_str::<Value>(event).is_err()).count();
    assert_eq!((broken, events.len()), (2, 1 + 8 + 1 + 1), "one is malformed, and one is [DONE]: {stream}");
    assert!(is_clean && stream.ends_with("[DONE]\n\n"));
    let whole = post(&server, &[], &json!({})).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("application/json")));
    assert!(serde_json::from_str::<Value>(&whole.text).is_err(), "{}", whole.text);
}

#[tokio::test]
async fn after_a_stall_the_stream_goes_on_and_is_whole() {
    let server = serve(&json!([{ "failure": { "stall": 300 }, "moment": { "after-tokens": 2 } }])).await;
    let stream = server.stream(CHAT, &Server::chat("one two three four", &json!({}))).await;
    assert_eq!(stream.text(0), "one two three four");
    let times = stream.token_times();
    assert!(times[2] >= Duration::from_millis(300), "{times:?}");
}

#[tokio::test]
async fn a_hang_keeps_its_place_until_the_client_gives_up() {
    let rule = json!({ "failure": "hang", "moment": "on-schedule", "header": { "x-tenant-id": "patient" } });
    let server = serve(&json!([rule])).await;
    let url = format!("{}{CHAT}", server.url);
    let body = Server::chat("hi", &json!({}));
    let hanging = tokio::spawn(server.http.post(url).header("x-tenant-id", "patient").json(&body).send());
    queued(&server, 1).await;
    let nothing_more = json!({});
    let mut next = pin!(post(&server, &[], &nothing_more));
    tokio::select! {
        _ = &mut next => panic!("the only place was taken"),
        () = queued(&server, 2) => {}
    }
    hanging.abort();
    assert_eq!(in_time("the place is free", next).await.status, 200);
}

#[tokio::test]
async fn a_rule_that_cannot_be_meant_stops_the_start() {
    let config = r#"failure={"rules": [{"failure": "explode"}]}"#;
    let refusal = Server::refused(EXE, &["--model", "m", "--plugin-config", config]).await;
    assert_eq!(refusal.code, Some(2));
    assert!(
        refusal.stderr.contains(r#"plugin "failure": it refused its configuration: rules[0]: "explode" is no failure"#)
    );
}
