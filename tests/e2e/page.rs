//! `GET /rehearsal` without a browser: what the page is fed with. What it makes of that is `clients/browser`'s.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::serve;

/// The next event of a stream.
async fn next(stream: &mut reqwest::Response) -> Option<Value> {
    let mut text = Vec::new();
    while let Some(part) = stream.chunk().await.expect("the stream is whole") {
        text.extend_from_slice(&part);
        if text.ends_with(b"\n\n") {
            let data = text.strip_prefix(b"data: ").expect("data alone");
            return Some(serde_json::from_slice(data).expect("JSON"));
        }
    }
    None
}

async fn events(server: &Server) -> reqwest::Response {
    server.http.get(format!("{}/rehearsal/events", server.url)).send().await.unwrap()
}

#[tokio::test]
async fn a_frame_has_the_metrics_and_what_happened_since_the_one_before() {
    let server = serve("--mode echo --time-to-first-token 40ms --inter-token-latency 10ms").await;
    let body = json!({ "model": "m", "prompt": "one two three four", "max_tokens": 4 });
    server.post("/v1/completions", &body).await;
    let mut stream = events(&server).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream; charset=utf-8");
    let first = next(&mut stream).await.unwrap();
    assert_eq!((&first["ttft"], &first["ended"]), (&Value::Null, &json!([])), "nothing is kept while no page is open");
    assert_eq!(first["metrics"]["vllm:generation_tokens_total"][0]["value"], 4.0);
    server.post("/v1/completions", &body).await;
    let second = next(&mut stream).await.unwrap();
    assert_eq!(second["metrics"]["vllm:generation_tokens_total"][0]["value"], 8.0);
    assert_eq!(second["metrics"]["vllm:time_to_first_token_seconds"][0]["count"], 2);
    let median = second["ttft"]["p50"].as_f64().unwrap();
    // Seconds, and not milliseconds.
    assert!((0.039..20.0).contains(&median), "{median}");
    assert!(second["inter_token"]["p95"].as_f64().unwrap() >= 0.0099);
    let [ended] = &second["ended"].as_array().unwrap()[..] else { panic!("{second}") };
    assert_eq!((&ended["endpoint"], &ended["outcome"]), (&"/v1/completions".into(), &"length".into()));
    assert_eq!((&ended["prompt_tokens"], &ended["completion_tokens"]), (&4.into(), &4.into()));
}

#[tokio::test]
async fn a_failure_on_purpose_is_told_apart_from_a_client_that_went_away() {
    let server = serve("--failure-injection-rate 100 --failure-types server_error").await;
    let mut stream = events(&server).await;
    next(&mut stream).await.unwrap();
    server.post("/v1/chat/completions", &Server::chat("hi", &json!({}))).await;
    let frame = next(&mut stream).await.unwrap();
    assert_eq!(frame["ended"][0]["outcome"], "injected: error");
    let kinds = frame["metrics"]["rehearsal_injected_failures_total"].as_array().unwrap();
    assert!(kinds.contains(&json!({ "kind": "error", "value": 1.0 })), "{kinds:?}");
}

#[tokio::test]
async fn a_watched_server_ends_at_once() {
    let server = serve("--shutdown-timeout 600").await;
    let mut stream = events(&server).await;
    next(&mut stream).await.unwrap();
    assert_eq!(server.terminate().await, Some(0));
    assert_eq!(next(&mut stream).await, None, "its end is a clean one");
}
