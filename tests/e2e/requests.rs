//! `GET /rehearsal/requests`: what a gateway's tests want to know of what it sent.

use std::time::{Duration, Instant};

use rehearsal_tests::{Server, until};
use serde_json::{Value, json};

use crate::clock::advance;
use crate::{EXE, serve};

const CHAT: &str = "/v1/chat/completions";
const REQUESTS: &str = "/rehearsal/requests";

async fn requests(server: &Server, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("{REQUESTS}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["requests"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_request_is_shown_as_it_came_and_as_it_was_answered() {
    let server = serve("--mode echo --capture 10 --time-to-first-token 20 --inter-token-latency 10").await;
    let body = Server::chat("one two three", &json!({ "stream": true, "temperature": 0.5 }));
    let sent = format!("{{\n \"model\": \"m\",{}", &body.to_string()[1..]);
    let headers = [("Authorization", "Bearer secret"), ("X-Tenant", "blue"), ("x-tenant", "green")];
    server.post_text(&format!("{CHAT}?trace=1"), "application/json", &sent, &headers).await;
    let [request] = &requests(&server, "").await[..] else { panic!() };
    let keys: Vec<_> = request.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "at",
        "method",
        "path",
        "headers",
        "body",
        "body_bytes",
        "replica",
        "status",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "ttft",
        "e2e",
        "outcome",
    ];
    assert_eq!(keys, expected);
    let fields = ["at", "method", "path", "replica", "status", "prompt_tokens", "completion_tokens", "outcome"];
    let values = json!([0.0, "POST", "/v1/chat/completions?trace=1", 0, 200, 3, 3, "completed"]);
    assert_eq!(json!(fields.map(|field| &request[field])), values);
    assert_eq!(request["body"], serde_json::from_str::<Value>(&sent).unwrap());
    assert_eq!(request["body_bytes"], sent.len());
    let headers = &request["headers"];
    assert_eq!((&headers["authorization"], &headers["x-tenant"]), (&json!("***"), &json!("blue, green")));
    let (ttft, e2e) = (request["ttft"].as_f64().unwrap(), request["e2e"].as_f64().unwrap());
    // Seconds, and not milliseconds.
    assert!((0.02..20.0).contains(&ttft) && (0.04..40.0).contains(&e2e) && ttft < e2e, "{request}");
}

#[tokio::test]
async fn what_went_wrong_shows_in_status_and_outcome() {
    let server = serve("--mode echo --capture 10 --inter-token-latency 50").await;
    server.post(CHAT, &json!({ "messages": 5 })).await;
    server.get("/v1/nothing").await;
    let fails = [("x-return-error", "503")];
    server.post_text(CHAT, "application/json", &Server::chat("hi", &json!({})).to_string(), &fails).await;
    server.post_text(CHAT, "application/json", "not json", &[]).await;
    let long = Server::chat(&"word ".repeat(200), &json!({ "stream": true }));
    let mut leaving = server.http.post(format!("{}{CHAT}", server.url)).json(&long).send().await.unwrap();
    leaving.chunk().await.unwrap();
    drop(leaving);
    let seen = until("the last one has ended", async || {
        let seen = requests(&server, "").await;
        seen.last().is_some_and(|request| !request["outcome"].is_null()).then_some(seen)
    })
    .await;
    let outcomes: Vec<_> = seen.iter().map(|request| (request["status"].clone(), request["outcome"].clone())).collect();
    assert_eq!(seen[3]["body"], "not json");
    assert_eq!(seen[0]["prompt_tokens"], Value::Null, "the engine saw nothing of it");
    assert!(seen[4]["completion_tokens"].as_u64().unwrap() < 200);
    let error = |status: u16| (json!(status), json!("error"));
    assert_eq!(outcomes, [error(400), error(404), error(503), error(400), (json!(200), json!("aborted"))]);
}

#[tokio::test]
async fn they_can_be_waited_for_and_filtered_and_forgotten() {
    let server = serve("--mode echo --capture 3 --served-model-name m other").await;
    let ask = async |model: &str, tenant: &str| {
        let body = json!({ "model": model, "prompt": "hi" }).to_string();
        server.post_text("/v1/completions", "application/json", &body, &[("x-tenant", tenant)]).await;
    };
    let start = Instant::now();
    let late = server.get(&format!("{REQUESTS}?wait=1&timeout=200ms")).await;
    assert_eq!((&late.json["timed_out"], late.json["requests"].as_array().unwrap().len()), (&json!(true), 0));
    assert!(start.elapsed() >= Duration::from_millis(200));
    let two = format!("{REQUESTS}?wait=2&timeout=30s&header=x-tenant:blue");
    let waiting = server.get(&two);
    let (waited, ()) = tokio::join!(waiting, async {
        for tenant in ["blue", "green", "blue"] {
            ask("m", tenant).await;
        }
    });
    assert_eq!(waited.json["timed_out"], false);
    assert_eq!(waited.json["requests"].as_array().unwrap().len(), 2);
    ask("other", "red").await;
    let tenants = async |query: &str| {
        let seen = requests(&server, query).await;
        seen.iter().map(|request| request["headers"]["x-tenant"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tenants("").await, ["green", "blue", "red"], "no more than were asked for are kept");
    assert_eq!(tenants("?last=1").await, ["red"]);
    assert_eq!(tenants("?model=other").await, ["red"]);
    assert_eq!(tenants("?header=X-Tenant:%20green").await, ["green"]);
    for query in ["?wait=4", "?last=-1", "?timeout=soon", "?header=blue", "?since=1"] {
        assert_eq!(server.get(&format!("{REQUESTS}{query}")).await.status, 400, "{query}");
    }
    let forgotten = server.http.delete(format!("{}{REQUESTS}", server.url)).send().await.unwrap();
    assert_eq!((forgotten.status().as_u16(), requests(&server, "").await.len()), (204, 0));
    assert_eq!(serve("").await.get(REQUESTS).await.status, 400, "nothing is kept");
}

#[tokio::test]
async fn all_of_them_are_written_down_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let args = ["--model", "m", "--mode", "echo", "--capture-file", path.to_str().unwrap()];
    let server = Server::start(EXE, &args).await;
    for at in 0..20 {
        let body = format!("{{\"prompt\": \"request {at}\",\n \"max_tokens\": 1}}");
        server.post_text("/v1/completions", "application/json", &body, &[]).await;
    }
    assert_eq!(server.terminate().await, Some(0));
    let written = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 20);
    assert!(lines.is_sorted_by(|one, next| one["at"].as_f64() <= next["at"].as_f64()));
    assert_eq!((&lines[19]["body"]["prompt"], &lines[19]["outcome"]), (&json!("request 19"), &json!("completed")));
    let refusal = Server::refused(EXE, &["--model", "m", "--capture-file", "/nowhere/trace.jsonl"]).await;
    assert!(refusal.stderr.contains("capture-file: /nowhere/trace.jsonl cannot be written"), "{}", refusal.stderr);
}

#[tokio::test]
async fn what_is_forgotten_while_it_is_answered_is_written_down_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let args = ["--model", "m", "--mode", "echo", "--capture", "2", "--capture-file", path.to_str().unwrap()];
    let server =
        Server::start(EXE, &[&args[..], &["--clock", "manual", "--inter-token-latency", "20ms"]].concat()).await;
    let body = Server::chat("one two three four five six seven eight nine ten", &json!({ "stream": true }));
    let streaming = server.post(CHAT, &body);
    let meddling = async {
        until("it is seen", async || requests(&server, "").await.pop()).await;
        server.http.delete(format!("{}{REQUESTS}", server.url)).send().await.unwrap();
        advance(&server, &json!({ "until-idle": true })).await;
    };
    tokio::join!(streaming, meddling);
    assert_eq!(server.terminate().await, Some(0));
    let written = std::fs::read_to_string(&path).unwrap();
    let line: Value = serde_json::from_str(written.trim()).unwrap();
    assert_eq!((&line["completion_tokens"], &line["outcome"]), (&json!(10), &json!("completed")));
}

#[tokio::test]
async fn secrets_are_not_shown_and_bodies_for_no_endpoint_not_read() {
    let server = serve("--capture 9").await;
    let headers = [("x-goog-api-key", "s1"), ("X-Auth-Token", "s2"), ("idempotency-key", "k"), ("cookie", "s3")];
    server.post_text("/nowhere?api_key=s4&trace=1", "application/json", "{\"a\": 1}", &headers).await;
    for path in ["/load", "/health/ready", "/version", "/rehearsal/plugins"] {
        server.get(path).await;
    }
    server.get("/pingx").await;
    let seen = requests(&server, "").await;
    let paths: Vec<_> = seen.iter().map(|request| request["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/nowhere?api_key=***&trace=1", "/pingx"]);
    let text = seen[0].to_string();
    assert!(["s1", "s2", "s3", "s4"].iter().all(|secret| !text.contains(&format!("\"{secret}\""))), "{text}");
    assert_eq!((&seen[0]["headers"]["idempotency-key"], &seen[0]["body_bytes"]), (&json!("k"), &json!(0)));
}
