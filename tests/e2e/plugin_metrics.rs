//! What `GET /metrics` tells of plugins.

use rehearsal_tests::Server;
use serde_json::json;

use crate::{EXE, limits};

const CHAT: &str = "/v1/chat/completions";

async fn misbehaving(args: &[&str]) -> Server {
    // On a busy machine, what is to end at another limit must not end for want of time.
    let config = ["--config", &limits("bad", "wall: 60s"), "--model", "m", "--mode", "bad"];
    Server::start(EXE, &[&config[..], args].concat()).await
}

/// The value of one row, by its name and labels.
async fn value(server: &Server, row: &str) -> Option<f64> {
    let answer = server.get("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=1.0.0; charset=utf-8")));
    let row = format!("rehearsal_plugin_{row} ");
    answer.text.lines().find_map(|line| line.strip_prefix(&row)).map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn calls_are_counted_by_how_they_ended() {
    let server = misbehaving(&[]).await;
    assert_eq!(value(&server, r#"calls_total{outcome="ok",plugin="bad"}"#).await, Some(0.0), "a trial is no call");
    for (prompt, outcome) in [
        ("hello", "ok"),
        ("hello", "ok"),
        ("panic", "trap"),
        ("grow", "memory"),
        ("internal", "internal"),
        // Last: a guest that spun is in the background for a while, where a busy machine lets it wait.
        ("spin", "timeout"),
    ] {
        server.post(CHAT, &Server::chat(prompt, &json!({}))).await;
        let row = format!("calls_total{{outcome=\"{outcome}\",plugin=\"bad\"}}");
        assert!(value(&server, &row).await > Some(0.0), "{prompt}");
    }
    assert_eq!(value(&server, r#"calls_total{outcome="ok",plugin="bad"}"#).await, Some(2.0));
    assert_eq!(value(&server, r#"call_seconds_count{plugin="bad"}"#).await, Some(6.0));
    assert_eq!(value(&server, r#"instantiate_seconds_count{plugin="bad"}"#).await, Some(6.0));
    assert!(value(&server, r#"offloaded_calls_total{plugin="bad"}"#).await >= Some(1.0), "the loop went elsewhere");
    let peak = value(&server, r#"peak_memory_bytes{plugin="bad"}"#).await.unwrap();
    assert!((1e6..=64.0 * 1048576.0).contains(&peak), "{peak}");
    let listed = server.get("/rehearsal/plugins").await.json;
    let bad = listed["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "bad").unwrap();
    let error = &bad["last_call_error"];
    assert!(error["message"].as_str().unwrap().starts_with(r#"plugin "bad""#), "{bad}");
    assert_eq!((&error["sha256"], &bad["last_reload"]), (&bad["sha256"], &serde_json::Value::Null));
    let at: jiff::Timestamp = error["at"].as_str().unwrap().parse().unwrap();
    assert!(at.duration_until(jiff::Timestamp::now()).as_secs() < 60, "{at}");
    assert_eq!(bad["worlds"][0], "rehearsal:strategy/generator-plugin@0.1.1");
}

#[tokio::test]
async fn answers_later_than_the_simulated_prefill_are_counted() {
    let server = misbehaving(&["--time-to-first-token", "300ms"]).await;
    let outlasted = r#"outlasted_prefills_total{plugin="bad"}"#;
    server.post(CHAT, &Server::chat("hello", &json!({}))).await;
    assert_eq!(value(&server, outlasted).await, Some(0.0));
    let server = misbehaving(&[]).await;
    server.post(CHAT, &Server::chat("hello", &json!({}))).await;
    assert_eq!(value(&server, outlasted).await, Some(1.0));
}
