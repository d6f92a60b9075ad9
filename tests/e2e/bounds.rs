//! Whatever is remembered has a bound, which shows.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::{EXE, serve};

async fn held(server: &Server, what: &str) -> u64 {
    let page = server.get("/metrics").await.text;
    let row = format!("rehearsal_held_bytes{{what=\"{what}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&row)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn adapters_have_names_of_some_length_and_are_so_many() {
    let server = serve("").await;
    let load = async |name: &str, path: &str| {
        server.post("/v1/load_lora_adapter", &json!({ "lora_name": name, "lora_path": path })).await
    };
    let long = "x".repeat(5000);
    for (name, path, message) in [
        (long.as_str(), "/p", "lora_name has 5000 bytes, at most 512 are kept."),
        ("a", long.as_str(), "lora_path has 5000 bytes, at most 4096 are kept."),
    ] {
        let refused = load(name, path).await;
        assert_eq!((refused.status, refused.json["error"]["message"].as_str()), (400, Some(message)));
    }
    let mut refused = None;
    for at in 0..5000 {
        let answer = load(&format!("a{at}"), "/p").await;
        if answer.status != 200 {
            refused = Some((at, answer));
            break;
        }
    }
    let (at, answer) = refused.expect("there is a limit");
    assert_eq!((at, answer.status), (4096, 400), "{}", answer.text);
    assert_eq!(answer.json["error"]["message"], "there are 4096 adapters, as many as there may be: unload one first");
    assert_eq!(server.post("/v1/unload_lora_adapter", &json!({ "lora_name": "a7" })).await.status, 200);
    assert_eq!(load("another", "/p").await.status, 200);
}

#[tokio::test]
async fn words_are_remembered_until_they_are_too_many() {
    let server = serve("").await;
    let tokenize = async |text: String| server.post("/tokenize", &json!({ "prompt": text })).await;
    assert_eq!(held(&server, "tokenizer_words").await, 0);
    assert_eq!(tokenize("one two".into()).await.json["count"], 2);
    assert_eq!(held(&server, "tokenizer_words").await, 2 * 48 + 7);
    // Words of 2 MB, each another.
    for at in 0..40 {
        assert_eq!(tokenize(format!("{}{at}", "x".repeat(2 << 20))).await.status, 200);
    }
    let held = held(&server, "tokenizer_words").await;
    assert!((62 << 20..=64 << 20).contains(&held), "{held}");
    let refused = tokenize("a ".repeat(2_000_001)).await;
    let message = "these are 2000001 tokens, and at most 2000000 are listed";
    assert_eq!((refused.status, refused.json["error"]["message"].as_str()), (400, Some(message)));
}

#[tokio::test]
async fn responses_are_kept_until_they_are_too_large_together() {
    let args = ["--model", "m", "--mode", "echo", "--max-model-len", "4000000"];
    let server = Server::start_with_env(EXE, &args, &[("VLLM_ENABLE_RESPONSES_API_STORE", "1")]).await;
    let text = "word ".repeat(600_000);
    let mut ids: Vec<Value> = Vec::new();
    for _ in 0..24 {
        let answer = server.post("/v1/responses", &json!({ "input": text, "max_output_tokens": 20 })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        ids.push(answer.json["id"].clone());
    }
    let held = held(&server, "kept_responses").await;
    assert!((40 << 20..=64 << 20).contains(&held), "{held}");
    let status = async |id: &Value| server.get(&format!("/v1/responses/{}", id.as_str().unwrap())).await.status;
    assert_eq!((status(&ids[0]).await, status(&ids[23]).await), (404, 200), "the oldest is forgotten first");
}
