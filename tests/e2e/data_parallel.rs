//! Several servers in one process, each a rank of its own.

use rehearsal_tests::{Server, content_of};
use serde_json::json;

use crate::EXE;

const CHAT: &str = "/v1/chat/completions";

async fn text(server: &Server) -> String {
    let answer = server.post(CHAT, &Server::chat("hi", &json!({}))).await;
    content_of(&answer.json["choices"][0]).to_owned()
}

#[tokio::test]
async fn ranks_have_engines_metrics_and_seeds_of_their_own() {
    let args = ["--model", "m", "--seed", "7", "--data-parallel-size", "3"];
    let ranks = Server::start_ranks(EXE, &args, &[], 3).await;
    let texts = [text(&ranks[0]).await, text(&ranks[1]).await, text(&ranks[2]).await];
    assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2], "{texts:?}");
    let calls = "rehearsal_plugin_calls_total{outcome=\"ok\",plugin=\"random\"} ";
    text(&ranks[1]).await;
    for (rank, served) in [(0, "1"), (1, "2"), (2, "1")] {
        let page = ranks[rank].get("/metrics").await.text;
        assert!(page.contains(&format!("{calls}{served}\n")), "rank {rank}: {page}");
    }
    let load = json!({ "lora_name": "a", "lora_path": "/a" });
    assert_eq!(ranks[2].post("/v1/load_lora_adapter", &load).await.status, 200);
    let cards = |server: usize| ranks[server].get("/v1/models");
    assert_eq!(cards(2).await.json["data"].as_array().unwrap().len(), 2);
    assert_eq!(cards(0).await.json["data"].as_array().unwrap().len(), 1);
    // A lone rank is the same one.
    let alone = Server::start(EXE, &["--model", "m", "--seed", "7", "--data-parallel-rank", "2"]).await;
    assert_eq!(text(&alone).await, texts[2]);
}

#[tokio::test]
async fn a_request_for_another_rank_is_refused() {
    let ranks = Server::start_ranks(EXE, &["--model", "m", "--data-parallel-size", "2"], &[], 2).await;
    let body = Server::chat("hi", &json!({})).to_string();
    for (server, header, status) in [(0, "0", 200), (0, "1", 400), (1, "1", 200), (1, "0", 400), (1, "one", 200)] {
        let pinned = [("x-data-parallel-rank", header)];
        let answer = ranks[server].post_text(CHAT, "application/json", &body, &pinned).await;
        assert_eq!(answer.status, status, "rank {header} at port of {server}: {}", answer.text);
        if status == 400 {
            assert_eq!(answer.json["error"]["param"], "x-data-parallel-rank");
        }
    }
}

#[tokio::test]
async fn ranks_that_cannot_be_are_refused_at_the_start() {
    let args = ["--model", "m", "--data-parallel-size", "9", "--data-parallel-start-rank", "-1"];
    let refusal = Server::refused(EXE, &args).await;
    for problem in
        ["data-parallel-size: 9 servers are more than 8", "data-parallel-start-rank: \"-1\" is not a whole number"]
    {
        assert!(refusal.stderr.contains(problem), "{}", refusal.stderr);
    }
}
