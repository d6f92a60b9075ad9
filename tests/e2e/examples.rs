//! The example plugins, loaded as their authors would load them.

use rehearsal_tests::{Server, content_of, examples, until};
use serde_json::json;

use crate::{EXE, serve};

const CHAT: &str = "/v1/chat/completions";

async fn say(server: &Server, text: &str) -> (u16, String) {
    let answer = server.post(CHAT, &Server::chat(text, &json!({}))).await;
    (answer.status, content_of(&answer.json["choices"][0]).to_owned())
}

#[tokio::test]
async fn the_smallest_plugin_answers() {
    let plugin = format!("shout={}", examples::SHOUT);
    let server = Server::start(EXE, &["--model", "m", "--plugin", &plugin, "--mode", "shout"]).await;
    assert_eq!(say(&server, "straße, be quick").await, (200, "STRASSE, BE QUICK".into()));
}

#[tokio::test]
async fn a_script_answers_turn_by_turn() {
    let plugin = format!("scripted={}", examples::SCRIPTED);
    let script =
        json!({ "turns": [{ "user": "hello", "assistant": "Hi!" }, { "user": "bye", "assistant": "See you." }] });
    let script = format!("scripted={script}");
    let args = ["--model", "m", "--plugin", &plugin, "--plugin-config", &script, "--mode", "scripted"];
    let server = Server::start(EXE, &args).await;
    assert_eq!(say(&server, "Hello there").await, (200, "Hi!".into()));
    assert_eq!(say(&server, "bye").await, (200, "See you.".into()));
    assert_eq!(say(&server, "what?").await.0, 422);
    let refusal = Server::refused(EXE, &["--model", "m", "--plugin", &plugin, "--plugin-config", "scripted={}"]).await;
    assert!(refusal.stderr.contains(r#"plugin "scripted": its configuration is wrong"#), "{}", refusal.stderr);
}

#[tokio::test]
async fn every_third_request_of_a_tenant_fails() {
    let plugin = format!("flaky={}", examples::FLAKY);
    let args = ["--model", "m", "--mode", "echo", "--plugin", &plugin, "--failure-plugin", "flaky"];
    let server = Server::start(EXE, &args).await;
    let body = Server::chat("hi", &json!({})).to_string();
    let mut statuses = Vec::new();
    for tenant in ["a", "a", "b", "a", "b", "b", "a"] {
        let answer = server.post_text(CHAT, "application/json", &body, &[("x-tenant-id", tenant)]).await;
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 200, 503, 200, 503, 200]);
    assert_eq!(say(&server, "no tenant").await.0, 200);
}

#[tokio::test]
async fn a_recorded_stream_is_played_to_the_microsecond() {
    let plugin = format!("recorded={}", examples::RECORDED);
    let stream = [(41_200, "It"), (53_900, " was"), (53_900, " a dark"), (2_000_000, " night")];
    let stream: Vec<_> = stream.iter().map(|(at_us, text)| json!({ "at_us": at_us, "text": text })).collect();
    let recording = format!("recorded={}", json!({ "stream": stream }));
    let latency = "--time-to-first-token 7s --inter-token-latency 3s --clock manual";
    let args = ["--model", "m", "--plugin", &plugin, "--plugin-config", &recording, "--mode", "recorded"];
    let server = Server::start(EXE, &[&args[..], &latency.split(' ').collect::<Vec<_>>()].concat()).await;
    let body = Server::chat("play", &json!({ "stream": true }));
    let played = async {
        crate::clock::queued(&server, 1).await;
        let mut seen = Vec::new();
        for micros in [41_199, 1, 12_699, 1, 1_946_099, 1] {
            let advance = json!({ "advance": format!("{micros}us") });
            assert_eq!(server.post("/admin/clock", &advance).await.status, 200);
            let page = server.get("/metrics").await.text;
            let row = page.lines().find(|line| line.starts_with("vllm:generation_tokens_total{")).unwrap();
            seen.push(row.rsplit_once(' ').unwrap().1.to_owned());
        }
        assert_eq!(seen, ["0", "1", "1", "3", "3", "4"]);
    };
    let (answer, ()) = tokio::join!(server.stream(CHAT, &body), played);
    assert_eq!(answer.text(0), "It was a dark night");
}

#[tokio::test]
async fn a_circuit_opens_after_real_failures_and_closes_after_one_on_trial() {
    let (guest, breaker) = (format!("guest={}", rehearsal_tests::MISBEHAVE), format!("breaker={}", examples::BREAKER));
    let config = r#"breaker={"failures": 2, "open_ms": 10000}"#;
    let plugins = ["--plugin", &guest, "--plugin", &breaker, "--mode", "guest", "--failure-plugin", "breaker"];
    let args = [&["--model", "m", "--clock", "manual", "--plugin-config", config], &plugins[..]].concat();
    let server = Server::start(EXE, &args).await;
    // The breaker is told in the background, of one end after the other.
    let told = async |n: usize| {
        until("the breaker is told", async || {
            let page = server.get("/metrics").await.text;
            let row = r#"rehearsal_plugin_calls_total{outcome="ok",plugin="breaker"} "#;
            page.lines().find_map(|line| line.strip_prefix(row)?.parse().ok()).filter(|calls: &usize| *calls >= n)
        })
        .await;
    };
    let mut n_calls = 0;
    let mut statuses = Vec::new();
    for prompt in
        ["internal", "hello", "internal", "panic", "hello", "advance", "internal", "hello", "advance", "hello", "hello"]
    {
        if prompt == "advance" {
            assert_eq!(server.post("/admin/clock", &json!({ "advance": "10s" })).await.status, 200);
            continue;
        }
        let answer = server.post(CHAT, &Server::chat(prompt, &json!({}))).await;
        if answer.status == 503 {
            assert_eq!(answer.json["error"]["code"], "circuit_open", "{}", answer.text);
        }
        statuses.push(answer.status);
        n_calls += 2;
        told(n_calls).await;
    }
    assert_eq!(statuses, [500, 200, 500, 500, 503, 500, 503, 200, 200]);
    let page = server.get("/metrics").await.text;
    assert!(page.contains(r#"rehearsal_plugin_endings_dropped_total{plugin="breaker"} 0"#), "{page}");
}

#[tokio::test]
async fn a_server_lists_what_it_loaded() {
    let server = serve("--mode echo --no-request-overrides").await;
    let answer = server.get("/rehearsal/plugins").await;
    let names: Vec<_> = answer.json["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(names, ["echo", "embed", "failure", "tool-call"]);
    assert_eq!(answer.json["plugins"][0]["exports"], json!(["generator"]));
    assert_eq!(answer.json["plugins"][0]["sha256"].as_str().unwrap().len(), 64);
}
