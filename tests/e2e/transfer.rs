//! Prefill on one server, decode on another, in both forms that routers speak.

use rehearsal_tests::Server;
use serde_json::json;

use crate::{EXE, serve};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn the_prefill_answer_is_ready_to_be_sent_to_the_decode_server() {
    let server = Server::start_with_env(EXE, &["--model", "m"], &[("POD_IP", "10.1.2.3")]).await;
    let params = json!({ "do_remote_decode": true, "do_remote_prefill": false, "remote_engine_id": null,
        "remote_block_ids": null, "remote_host": null, "remote_port": null });
    let body = Server::chat(&"word ".repeat(40), &json!({ "max_tokens": 1, "kv_transfer_params": params }));
    let answer = server.post(CHAT, &body).await;
    let handed_over = answer.json["kv_transfer_params"].clone();
    assert_eq!(answer.json["choices"][0]["finish_reason"], "length");
    assert_eq!((&handed_over["do_remote_prefill"], &handed_over["do_remote_decode"]), (&json!(true), &json!(false)));
    assert_eq!(handed_over["remote_block_ids"][0].as_array().unwrap().len(), 3);
    assert_eq!(handed_over["remote_host"], "10.1.2.3");
    let port: u64 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(
        (handed_over["remote_port"].as_u64(), handed_over["remote_num_tokens"].as_u64()),
        (Some(port), Some(40))
    );
    assert_eq!(answer.json["id"], format!("chatcmpl-{}", handed_over["remote_request_id"].as_str().unwrap()));

    let streamed = server.stream(CHAT, &body).await;
    let (last, before) = streamed.chunks().split_last().map(|(last, before)| (last.clone(), before.to_vec())).unwrap();
    assert_eq!(last["kv_transfer_params"]["remote_host"], "10.1.2.3");
    assert!(before.iter().all(|chunk| chunk["kv_transfer_params"].is_null()));

    let decode = serve("--mode echo --time-to-first-token 60s --kv-cache-transfer-latency 1").await;
    let body = Server::chat("hi", &json!({ "kv_transfer_params": handed_over }));
    let answer = decode.post(CHAT, &body).await;
    assert_eq!((answer.status, &answer.json["kv_transfer_params"]), (200, &json!(null)));
}

#[tokio::test]
async fn the_first_routers_form_is_answered_in_its_own() {
    let server = serve("--mode echo --time-to-first-token 60s --kv-cache-transfer-latency 1").await;
    let numbers = json!({ "do_remote_prefill": true, "remote_block_ids": [[1, 2], [3]], "remote_engine_id": 7,
        "remote_host": ["a"], "remote_port": "80" });
    assert_eq!(server.post(CHAT, &Server::chat("hi", &numbers)).await.status, 200);

    let prefill = serve("--mode echo").await;
    let body = Server::chat("one two", &json!({ "do_remote_decode": true }));
    let answer = prefill.post(CHAT, &body).await;
    assert_eq!(answer.json["choices"][0]["finish_reason"], "remote_decode");
    assert_eq!((&answer.json["do_remote_decode"], &answer.json["do_remote_prefill"]), (&json!(true), &json!(false)));
    assert!(answer.json["remote_block_ids"][0].is_string() && answer.json["remote_engine_id"].is_string());
    assert!(answer.json["remote_port"].is_u64() && answer.json["kv_transfer_params"].is_null());

    let last = prefill.stream(CHAT, &body).await.chunks().pop().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "remote_decode");
    assert_eq!(last["remote_host"], "127.0.0.1");
}
