//! Servers that sleep or pause.

use rehearsal_tests::{Server, content_of, in_time, until};
use serde_json::{Value, json};

use crate::EXE;
use crate::clock::{advance, generated, queued};

const CHAT: &str = "/v1/chat/completions";

async fn serve(args: &[&str]) -> Server {
    let args = [&["--model", "m", "--mode", "echo"], args].concat();
    Server::start_with_env(EXE, &args, &[("VLLM_SERVER_DEV_MODE", "1")]).await
}

async fn post(server: &Server, path: &str) -> (u16, String) {
    let answer = server.post_text(path, "application/json", "", &[]).await;
    (answer.status, answer.text)
}

#[tokio::test]
async fn sleep_is_spoken_of_as_vllm_speaks_of_it() {
    let server = serve(&[]).await;
    let ok = |text: &str| (200, text.to_owned());
    assert_eq!(post(&server, "/sleep").await, ok(r#"{"status":"sleeping","level":1}"#));
    assert_eq!(server.get("/is_sleeping").await.text, r#"{"is_sleeping":true}"#);
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(post(&server, "/wake_up?tags=weights").await, ok(r#"{"status":"sleeping","tags":["weights"]}"#));
    assert_eq!(post(&server, "/wake_up").await, ok(r#"{"status":"awake","tags":null}"#));
    assert_eq!(server.get("/is_sleeping").await.text, r#"{"is_sleeping":false}"#);
    assert_eq!(post(&server, "/sleep?level=1&level=0&mode=keep").await, ok(r#"{"status":"sleeping","level":0}"#));
    assert_eq!(post(&server, "/resume").await, ok(r#"{"status":"resumed"}"#));
    assert_eq!(post(&server, "/pause?mode=keep").await, ok(r#"{"status":"paused"}"#));
    assert_eq!(server.get("/is_paused").await.text, r#"{"is_paused":true}"#);
    assert_eq!(post(&server, "/wake_up?tags=x").await, ok(r#"{"status":"awake","tags":["x"]}"#));
    assert_eq!(server.get("/is_paused").await.text, r#"{"is_paused":false}"#);
    assert_eq!(post(&server, "/reset_mm_cache").await, ok(""));
    for (path, param, message) in [
        ("/sleep?level=3", "query.level", "Input should be less than or equal to 2"),
        ("/sleep?level=", "query.level", "unable to parse string as an integer"),
        ("/pause?mode=x", "query.mode", "Input should be 'abort', 'wait' or 'keep'"),
        ("/pause?clear_cache=maybe", "query.clear_cache", "unable to interpret input"),
        ("/reset_prefix_cache?reset_external=x", "query.reset_external", "unable to interpret input"),
    ] {
        let (status, text) = post(&server, path).await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &error["error"]["param"]), (400, &json!(param)), "{path}: {text}");
        assert!(text.contains(message), "{path}: {text}");
    }
}

#[tokio::test]
async fn what_runs_ends_with_what_it_has_or_goes_on() {
    let server = serve(&["--clock", "manual", "--inter-token-latency", "1s"]).await;
    let mut n_generated = 0;
    for (mode, text, reason, n_tokens) in
        [("abort", "one ", "abort", 1), ("keep", "one two three", "stop", 3), ("wait", "one two three", "stop", 3)]
    {
        let [early, late] = ["one two three", "late"].map(|text| Server::chat(text, &json!({})));
        let sleep_and_wake = async {
            generated(&server, n_generated + 1).await;
            let path = format!("/sleep?mode={mode}");
            let finish = async {
                if mode == "wait" {
                    until("it is about to pause", async || {
                        server.get("/is_paused").await.json["is_paused"].as_bool().filter(|paused| *paused)
                    })
                    .await;
                    advance(&server, &json!({ "until-idle": true })).await;
                }
            };
            let ((status, _), ()) = tokio::join!(post(&server, &path), finish);
            assert_eq!(status, 200);
            // What comes now waits for the end of it.
            let wake = async {
                queued(&server, if mode == "keep" { 2 } else { 1 }).await;
                post(&server, "/wake_up").await;
                advance(&server, &json!({ "until-idle": true })).await;
            };
            let (late, ()) = tokio::join!(server.post(CHAT, &late), wake);
            assert_eq!((late.status, content_of(&late.json["choices"][0])), (200, "late"), "{mode}");
        };
        let both = async { tokio::join!(server.post(CHAT, &early), sleep_and_wake) };
        let (answer, ()) = in_time(mode, both).await;
        let choice = &answer.json["choices"][0];
        assert_eq!(
            (answer.status, content_of(choice), &choice["finish_reason"]),
            (200, text, &json!(reason)),
            "{mode}"
        );
        n_generated += n_tokens + 1;
    }
}

#[tokio::test]
async fn while_it_pauses_new_requests_are_refused() {
    let server = serve(&[]).await;
    post(&server, "/pause").await;
    let body = Server::chat("one", &json!({}));
    let refused = server.post(CHAT, &body).await;
    assert_eq!((refused.status, &refused.json["error"]["type"]), (503, &json!("ServiceUnavailableError")));
    let stream = server.post(CHAT, &Server::chat("one", &json!({ "stream": true }))).await;
    assert_eq!(stream.status, 200);
    assert!(stream.text.contains(r#""code":503"#) && stream.text.ends_with("data: [DONE]\n\n"), "{}", stream.text);
    post(&server, "/resume").await;
    assert_eq!(server.post(CHAT, &body).await.status, 200);
}

#[tokio::test]
async fn developers_are_told_what_the_engine_was_built_with() {
    let server = serve(&["--max-num-seqs", "7"]).await;
    let text = server.get("/server_info").await.json["vllm_config"].clone();
    assert!(text.as_str().unwrap().starts_with("model='m', speculative_config=None"), "{text}");
    let object = server.get("/server_info?config_format=json").await.json;
    assert_eq!(object["vllm_config"]["scheduler_config"]["max_num_seqs"], 7);
    assert_eq!(object["vllm_env"]["VLLM_SERVER_DEV_MODE"], "1");
    assert_eq!(server.get("/server_info?config_format=xml").await.status, 400);
}

#[tokio::test]
async fn without_dev_mode_there_is_nothing_of_it() {
    let server = crate::serve("--mode echo").await;
    assert_eq!(post(&server, "/sleep").await, (404, r#"{"detail":"Not Found"}"#.into()));
}
