//! The contract with plugins, from its first version to this one.

use futures::StreamExt;
use rehearsal_tests::{CONTRACT_0_1_0, MISBEHAVE, Server, WITNESS, until};
use serde_json::{Value, json};

use crate::EXE;

const TEXT: &str = "/v1/completions";

async fn text(server: &Server, prompt: &str) -> String {
    let answer = server.post(TEXT, &json!({ "prompt": prompt, "max_tokens": 100 })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["choices"][0]["text"].as_str().unwrap().to_owned()
}

async fn serving(component: &str, more: &[&str]) -> Server {
    let plugin = format!("guest={component}");
    Server::start(EXE, &[&["--model", "m", "--plugin", &plugin, "--mode", "guest"], more].concat()).await
}

#[tokio::test]
async fn a_guest_of_the_first_version_still_does_all_that_it_could() {
    let server = serving(CONTRACT_0_1_0, &["--tool-plugin", "guest", "--failure-plugin", "guest"]).await;
    assert_eq!(text(&server, "hello").await, "1  3 old and well");
    assert_eq!(text(&server, "hello").await, "2 m 3 old and well");
}

/// The names keep their length, so the component stays one.
fn renamed(mut component: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut at = 0;
    while let Some(found) = component[at..].windows(from.len()).position(|window| window == from) {
        at += found;
        component[at..at + to.len()].copy_from_slice(to);
    }
    component
}

#[tokio::test]
async fn a_guest_of_a_later_version_is_served_unless_it_uses_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("later.wasm");
    let later = renamed(std::fs::read(MISBEHAVE).unwrap(), b"@0.1.1", b"@0.1.7");
    std::fs::write(&file, &later).unwrap();
    let server = serving(file.to_str().unwrap(), &[]).await;
    assert_eq!(text(&server, "up to 2").await, "Ok(Some(1))");
    std::fs::write(&file, renamed(later, b"add-within", b"add-beyond")).unwrap();
    let plugin = format!("guest={}", file.display());
    let refusal = Server::refused(EXE, &["--model", "m", "--plugin", &plugin]).await;
    let said = "@0.1.7 and uses what is new in it: it needs a server that speaks that version or a later one, and this one \
                speaks 0.1.1";
    assert!(refusal.stderr.contains(said), "{}", refusal.stderr);
}

#[tokio::test]
async fn state_is_swapped_bounded_listed_and_expires_by_the_engines_clock() {
    let server = serving(MISBEHAVE, &["--clock", "manual"]).await;
    assert_eq!((text(&server, "lock").await, text(&server, "lock").await), ("mine".into(), "taken".into()));
    let advance = async |millis: u64| server.post("/admin/clock", &json!({ "advance": format!("{millis}ms") })).await;
    assert_eq!(advance(1_999).await.status, 200);
    assert_eq!(text(&server, "lock").await, "taken");
    for wanted in ["Ok(Some(1))", "Ok(Some(2))", "Ok(None)"] {
        assert_eq!(text(&server, "up to 2").await, wanted);
    }
    assert_eq!(text(&server, "keys").await, "few lock");

    const STATE: &str = "/rehearsal/plugins/guest/state";
    let entries = async |path: &str| server.get(path).await.json["entries"].clone();
    let all = entries(STATE).await;
    assert_eq!(all[0], json!({ "key": "few", "base64": "AgAAAAAAAAA=", "number": 2 }));
    assert_eq!((&all[1]["key"], &all[1]["expires_in_ms"]), (&json!("lock"), &json!(1)));
    assert_eq!(entries("/rehearsal/plugins/guest/state?prefix=l").await.as_array().unwrap().len(), 1);
    advance(1).await;
    assert_eq!((text(&server, "keys").await.as_str(), text(&server, "lock").await.as_str()), ("few", "mine"));

    let delete =
        async |path: &str| server.http.delete(format!("{}{path}", server.url)).send().await.unwrap().status().as_u16();
    assert_eq!(delete("/rehearsal/plugins/guest/state?key=few").await, 204);
    assert_eq!(text(&server, "keys").await, "lock");
    assert_eq!(delete(STATE).await, 204);
    assert_eq!(entries(STATE).await, Value::Array(Vec::new()));
    assert_eq!(server.get("/rehearsal/plugins/none/state").await.status, 404);
    assert_eq!(server.get("/rehearsal/plugins/guest/state?prefx=l").await.status, 400);
}

#[tokio::test]
async fn a_plugin_that_asks_for_facts_is_told_them() {
    let flags = "--clock manual --max-num-seqs 4 --lora-modules sql=/p --enable-kvcache --zmq-endpoint= --block-size 8 \
                 --time-to-first-token 1s";
    let server = serving(MISBEHAVE, &flags.split_whitespace().collect::<Vec<_>>()).await;
    let server = std::sync::Arc::new(server);
    let advance = async || {
        let idle = json!({ "until-idle": true });
        assert_eq!(server.post("/admin/clock", &idle).await.status, 200);
    };
    let ask = |model: &'static str| {
        let server = server.clone();
        tokio::spawn(async move {
            let system = "one two three four five six seven eight nine";
            let messages = json!([{ "role": "system", "content": system }, { "role": "user", "content": "extras" }]);
            let body = json!({ "model": model, "messages": messages, "max_tokens": 500 });
            let traced = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
            let answer = server.post_text("/v1/chat/completions", "application/json", &body.to_string(), &traced).await;
            answer.json["choices"][0]["message"]["content"].as_str().unwrap_or(&answer.text).to_owned()
        })
    };
    let answered = async |model| {
        let asked = ask(model);
        crate::clock::queued(&server, 1).await;
        advance().await;
        asked.await.unwrap()
    };
    let first = answered("m").await;
    for fact in [
        r#"("arrival-ms", "0.000")"#,
        r#"("load", "{\"running\":1,\"waiting\":0,\"max_num_seqs\":4,\"kv_cache_usage\":"#,
        r#"("rank", "0")"#,
        r#"("trace", "{\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}")"#,
        r#"("cached-tokens", "0")"#,
        "Load { running: 1, waiting: 0, max_num_seqs: 4,",
    ] {
        assert!(first.contains(fact), "{fact} is missing in {first}");
    }
    assert!(!first.contains("adapter"), "{first}");
    let (second, third) = (answered("m").await, answered("sql").await);
    assert!(second.contains(r#"("cached-tokens", "8")"#), "{second}");
    assert!(second.contains(r#"("arrival-ms", "1000.000")"#) && second.ends_with("Some(1000.0)"), "{second}");
    assert!(third.contains(r#"("adapter", "{\"name\":\"sql\",\"id\":1}")"#), "{third}");
}

/// What the witness remembers, once it is told of so many.
async fn remembered(server: &Server, n: usize) -> Vec<(String, String)> {
    let kept = until(&format!("{n} ends are told"), async || {
        let kept = server.get("/rehearsal/plugins/witness/state?prefix=ending").await.json;
        Some(kept["entries"].as_array().unwrap().clone()).filter(|kept| kept.len() >= n)
    })
    .await;
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    kept.iter().map(|entry| (text(entry, "key"), text(entry, "text"))).collect()
}

#[tokio::test]
async fn an_observer_is_told_of_each_request_once_how_it_ended() {
    let latency = ["--clock", "manual", "--time-to-first-token", "1s", "--inter-token-latency", "10ms"];
    let witness = format!("witness={WITNESS}");
    let more = ["--plugin", &witness, "--failure-injection-rate", "0", "--max-num-seqs", "1"];
    let server = std::sync::Arc::new(serving(MISBEHAVE, &[&latency[..], &more].concat()).await);
    let ask = |body: Value| {
        let server = server.clone();
        tokio::spawn(async move { server.post(TEXT, &body).await.status })
    };
    let advance = async |body: Value| assert_eq!(server.post("/admin/clock", &body).await.status, 200);
    let two = ask(json!({ "prompt": "one two three", "n": 2, "max_tokens": 2 }));
    crate::clock::queued(&server, 2).await;
    let failed = ask(json!({ "prompt": "reject", "max_tokens": 5 }));
    crate::clock::queued(&server, 3).await;
    let gone = ask(json!({ "prompt": "going", "max_tokens": 5 }));
    crate::clock::queued(&server, 4).await;
    gone.abort();
    remembered(&server, 1).await;
    // One place: the second choice begins when the first one ends, after 1.01 s.
    advance(json!({ "until-idle": true })).await;
    assert_eq!((two.await.unwrap(), failed.await.unwrap()), (200, 429));
    let told = remembered(&server, 3).await;
    let told: Vec<_> = told.iter().map(|(key, record)| (key.as_str(), record.as_str())).collect();
    assert_eq!(
        told,
        [
            ("ending 000 1", r#"Outcome::Completed("length") 200 false, 2 choices, 3 in, 4 out, at 0 1000000 2020000"#),
            ("ending 001 1", r#"Outcome::Failed("not so fast") 429 false, 1 choices, 1 in, 0 out, at 2020000 - -"#),
            ("ending 002 1", r#"Outcome::Aborted 200 false, 1 choices, 1 in, 0 out, at - - -"#),
        ]
    );
}

#[tokio::test]
async fn an_observer_that_lags_delays_nothing_and_is_told_less() {
    let witness = format!("witness={WITNESS}");
    let args = ["--model", "slow", "--mode", "echo", "--plugin", &witness, "--max-num-seqs", "64"];
    let server = Server::start(EXE, &args).await;
    let ask = async |_| {
        let answer = server.post(TEXT, &json!({ "prompt": "hello", "max_tokens": 1 })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    futures::stream::iter(0..2_000).for_each_concurrent(32, ask).await;
    let dropped = async || {
        let page = server.get("/metrics").await.text;
        let row = r#"rehearsal_plugin_endings_dropped_total{plugin="witness"} "#;
        page.lines().find_map(|line| line.strip_prefix(row)?.parse::<usize>().ok()).unwrap()
    };
    let dropped = dropped().await;
    assert!(dropped > 0, "of 2,000 at most 1,024 wait");
    assert_eq!(server.get("/health").await.status, 200);
}
