//! Same seed, same requests, same bytes; `created` excepted.

use rehearsal_tests::Server;
use serde_json::json;

use crate::serve;

const CHAT: &str = "/v1/chat/completions";

/// Every answer of a fixed conversation with a fresh server.
async fn run(args: &str) -> Vec<String> {
    let server = serve(args).await;
    let mut answers = Vec::new();
    for body in [
        Server::chat("hi", &json!({})),
        Server::chat("hi", &json!({ "n": 3, "max_tokens": 50 })),
        Server::chat("hi", &json!({ "seed": 42 })),
    ] {
        answers.push(without_created(&server.post(CHAT, &body).await.text));
        let stream = server.stream(CHAT, &body).await;
        answers.extend(stream.events.iter().map(|event| without_created(&event.data)));
    }
    answers.push(without_created(&server.get("/v1/models").await.text));
    answers
}

pub(crate) fn without_created(text: &str) -> String {
    let mut parts = text.split("\"created\":");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[tokio::test]
async fn a_seed_gives_the_same_bytes_after_a_restart() {
    let first = run("--seed 7").await;
    assert_eq!(run("--seed 7").await, first);
    assert_ne!(run("--seed 8").await, first);
}

#[tokio::test]
async fn a_clients_seed_decides_alone() {
    let server = serve("--seed 1").await;
    let other = serve("--seed 2").await;
    let seeded = Server::chat("hi", &json!({ "seed": 42 }));
    let alone = server.post(CHAT, &seeded).await.json["choices"].clone();
    let busy: Vec<_> = (0..20).map(|_| Server::chat("noise", &json!({}))).collect();
    let (among, _) = tokio::join!(
        async { other.post(CHAT, &seeded).await.json["choices"].clone() },
        futures::future::join_all(busy.iter().map(|noise| other.post(CHAT, noise)))
    );
    assert_eq!(alone, among);
}
