//! LoRA adapters: loaded, listed, asked for, and never more of them running than may.

use std::sync::Arc;

use rehearsal_tests::{Answer, Server, content_of};
use serde_json::{Value, json};

use crate::clock::{queue_times, queued};
use crate::{EXE, serve};

const CHAT: &str = "/v1/chat/completions";
const LOAD: &str = "/v1/load_lora_adapter";
const UNLOAD: &str = "/v1/unload_lora_adapter";

async fn cards(server: &Server) -> Vec<Value> {
    server.get("/v1/models").await.json["data"].as_array().unwrap().clone()
}

fn shape(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.json["error"]["type"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn adapters_are_listed_as_vllm_lists_them_and_answer_under_their_name() {
    let json = r#"{"name": "two", "path": "/p/2", "base_model_name": "m"}"#;
    let args = ["--model", "m", "--served-model-name", "alias", "--mode", "echo", "--lora-modules", "one=/p/1", json];
    let server = Server::start(EXE, &args).await;
    let cards = cards(&server).await;
    let told = |card: &Value| [&card["id"], &card["root"], &card["parent"], &card["max_model_len"]].map(Value::clone);
    assert_eq!(told(&cards[0]), [json!("alias"), json!("m"), json!(null), json!(1024)]);
    assert_eq!(told(&cards[1]), [json!("one"), json!("/p/1"), json!("alias"), json!(null)]);
    assert_eq!(told(&cards[2]), [json!("two"), json!("/p/2"), json!("m"), json!(null)]);
    let answer = server.post(CHAT, &Server::chat("hi", &json!({ "model": "two" }))).await;
    assert_eq!((answer.status, &answer.json["model"]), (200, &json!("two")));
    let chunks = server.stream(CHAT, &Server::chat("hi", &json!({ "model": "one" }))).await.chunks();
    assert!(chunks.iter().all(|chunk| chunk["model"] == "one"));
}

#[tokio::test]
async fn an_adapter_can_have_plugins_of_its_own() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let config = "{model: m, mode: random, lora-modules: [{name: parrot, path: /p}], models: {parrot: {mode: echo}}}";
    std::fs::write(file.path(), config).unwrap();
    let server = Server::start(EXE, &["--config", file.path().to_str().unwrap()]).await;
    let answer = server.post(CHAT, &Server::chat("be quick", &json!({ "model": "parrot" }))).await;
    assert_eq!(content_of(&answer.json["choices"][0]), "be quick");
    let answer = server.post(CHAT, &Server::chat("be quick", &json!({ "model": "m" }))).await;
    assert_ne!(content_of(&answer.json["choices"][0]), "be quick");
}

#[tokio::test]
async fn adapters_come_and_go_at_run_time() {
    let server = serve("--mode echo").await;
    let ask = Server::chat("hi", &json!({ "model": "new" }));
    assert_eq!(server.post(CHAT, &ask).await.status, 404);
    let new = json!({ "lora_name": "new", "lora_path": "/no/such/path" });
    let loaded = server.post(LOAD, &new).await;
    assert_eq!((loaded.status, loaded.text.as_str()), (200, "Success: LoRA adapter 'new' added successfully."));
    assert_eq!(loaded.header("content-type"), None);
    assert_eq!(server.post(CHAT, &ask).await.status, 200);
    assert_eq!(shape(&server.post(LOAD, &new).await), (400, "InvalidUserInput"));
    let in_place = json!({ "lora_name": "new", "lora_path": "/p", "load_inplace": true });
    assert_eq!(server.post(LOAD, &in_place).await.status, 200);
    let unloaded = server.post(UNLOAD, &json!({ "lora_name": "new" })).await;
    assert_eq!((unloaded.status, unloaded.text.as_str()), (200, "Success: LoRA adapter 'new' removed successfully."));
    assert_eq!(server.post(CHAT, &ask).await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_done_with_adapters_is_said_as_vllm_says_it() {
    let server = serve("").await;
    for (path, body, expected) in [
        (LOAD, json!({}), (400, "Bad Request")),
        (LOAD, json!({ "lora_name": "a" }), (400, "Bad Request")),
        (LOAD, json!({ "lora_name": "", "lora_path": "" }), (400, "InvalidUserInput")),
        (LOAD, json!({ "lora_name": "m", "lora_path": "/p" }), (400, "InvalidUserInput")),
        (UNLOAD, json!({ "lora_name": "" }), (400, "InvalidUserInput")),
        (UNLOAD, json!({ "lora_name": "a" }), (404, "NotFoundError")),
    ] {
        assert_eq!(shape(&server.post(path, &body).await), expected, "{path} {body}");
    }
    let missing = server.post(LOAD, &json!({})).await;
    assert_eq!(missing.json["error"]["param"], "body.lora_name");
    let refusal = Server::refused(
        EXE,
        &[
            "--model",
            "m",
            "--lora-modules",
            "a=/p",
            "a=/q",
            "m=/p",
            "nothing",
            "--max-loras",
            "2",
            "--max-cpu-loras",
            "1",
        ],
    )
    .await;
    assert!(refusal.stderr.contains("is neither name=path nor a JSON object"), "{}", refusal.stderr);
    assert!(refusal.stderr.contains("1 is less than max-loras (2)"), "{}", refusal.stderr);
}

/// Six requests over three adapters, one of which may run: those of one adapter run together, the others wait.
#[tokio::test]
async fn never_more_adapters_run_than_may() {
    let args = "--mode echo --clock manual --enable-per-request-metrics --time-to-first-token 300ms --max-num-seqs 6";
    let server = Arc::new(serve(&format!("{args} --lora-modules a=/a b=/b c=/c")).await);
    let adapters = ["a", "b", "c", "a", "b", "c"].map(|model| json!({ "model": model }));
    assert_eq!(queue_times(&server, adapters).await, [0.0, 300.0, 600.0, 0.0, 300.0, 600.0]);
}

/// A request keeps its adapter while others unload it.
#[tokio::test]
async fn an_adapter_that_runs_can_be_unloaded() {
    let server = serve("--mode echo --time-to-first-token 300ms --lora-modules a=/a").await;
    let body = Server::chat("hi", &json!({ "model": "a" }));
    let asked = server.post(CHAT, &body);
    let unloaded = async {
        queued(&server, 1).await;
        server.post(UNLOAD, &json!({ "lora_name": "a" })).await
    };
    let (asked, unloaded) = tokio::join!(asked, unloaded);
    assert_eq!((asked.status, unloaded.status), (200, 200));
    assert_eq!(asked.json["model"], "a");
    assert_eq!(server.post(CHAT, &body).await.status, 404);
}
