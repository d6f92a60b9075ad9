//! Guests that misbehave: each call ends in bounded time with the error that the README's table has, and no other
//! request notices.

use std::time::Duration;

use rehearsal_tests::{MISBEHAVE, Server, content_of, in_time, until};
use serde_json::json;

use crate::{EXE, limits};

const CHAT: &str = "/v1/chat/completions";

async fn serve(more: &[&str]) -> Server {
    let plugin = format!("guest={MISBEHAVE}");
    let args = ["--model", "m", "--mode", "guest", "--plugin", &plugin];
    Server::start(EXE, &[&args, more].concat()).await
}

#[tokio::test]
async fn of_a_guest_that_breaks_again_and_again_the_log_tells_once() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let server = serve(&["--logtostderr=false", "--log_file", log.path().to_str().unwrap()]).await;
    for prompt in ["panic", "panic", "internal", "panic", "split a character", "reject"] {
        server.post(CHAT, &Server::chat(prompt, &json!({}))).await;
    }
    let told = async || {
        let said = std::fs::read_to_string(log.path()).unwrap();
        said.contains("cause=\"invalid_output\"").then_some(said)
    };
    let said = until("the last fault is told", told).await;
    let told: Vec<_> = said.lines().filter(|line| line.contains("a call failed")).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    let panic = told[0];
    assert!(panic.contains(r#"plugin="guest" cause="trap" error="plugin \"guest\" crashed: panicked at"#), "{panic}");
    assert!(panic.contains(r"guest says no\nnote: run with") && panic.contains("suppressed=0"), "{panic}");
}

#[tokio::test]
async fn each_misdeed_has_its_error() {
    // On a busy machine, what is to end at another limit must not end for want of time.
    let server = serve(&["--config", &limits("guest", "wall: 6s")]).await;
    for (prompt, code, message) in [
        ("panic", "plugin_trap", r#"plugin "guest" crashed: panicked at tests/components/src/lib.rs:"#),
        ("exit", "plugin_trap", r#"plugin "guest" crashed: it exited with status "#),
        ("spin", "plugin_timeout", r#"plugin "guest" ran longer than 200 ms, its limits.cpu"#),
        ("sleep", "plugin_timeout", r#"plugin "guest" did not end within 6000 ms, its limits.wall"#),
        ("grow", "plugin_memory", r#"plugin "guest" wanted more than 64 MiB, its limits.memory"#),
        ("return 32 MiB", "plugin_output_limit", r#"plugin "guest" returned more than 16 MiB"#),
        ("split a character", "plugin_invalid_output", r#"plugin "guest": ends[0] = 2 is not on a character boundary"#),
        ("go back", "plugin_invalid_output", r#"plugin "guest": ends[1] = 2 is less than ends[0] = 3"#),
        ("stop short", "plugin_invalid_output", r#"plugin "guest": the last of 1 ends is 1"#),
        ("internal", "plugin_internal", r#"plugin "guest": out of ideas"#),
        ("reject with 200", "plugin_invalid_output", r#"plugin "guest": it rejected the request with status 200"#),
    ] {
        let answer = in_time(prompt, server.post(CHAT, &Server::chat(prompt, &json!({})))).await;
        let error = &answer.json["error"];
        assert_eq!((answer.status, error["type"].as_str()), (500, Some("plugin_error")), "{prompt}: {}", answer.text);
        assert_eq!(error["code"], code, "{prompt}: {}", answer.text);
        assert!(error["message"].as_str().unwrap().starts_with(message), "{prompt}: {}", answer.text);
        assert_eq!(answer.header("x-rehearsal-plugin"), Some("guest"));
        let streamed = server.post(CHAT, &Server::chat(prompt, &json!({ "stream": true }))).await;
        // What takes its time to fail does so in the stream.
        let event = streamed.text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\ndata: [DONE]\n\n"));
        let error = event.map_or(streamed.json, |event| serde_json::from_str(event).unwrap());
        assert_eq!(error["error"]["code"], code);
        assert!(streamed.status == 500 || event.is_some(), "{prompt}: {}", streamed.text);
    }
    let panic = server.post(CHAT, &Server::chat("panic", &json!({}))).await;
    assert!(panic.text.contains("guest says no"), "{}", panic.text);
    let well = server.post(CHAT, &Server::chat("still here", &json!({}))).await;
    assert_eq!(content_of(&well.json["choices"][0]), "still here");
}

#[tokio::test]
async fn a_rejection_is_sent_as_it_is_but_for_framing() {
    let server = serve(&[]).await;
    let answer = server.post(CHAT, &Server::chat("reject", &json!({}))).await;
    assert_eq!(answer.status, 429);
    let error = json!({ "message": "not so fast", "type": "tokens", "param": null, "code": "rate_limit_exceeded" });
    assert_eq!(answer.json["error"], error);
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("content-length"), Some(answer.text.len().to_string().as_str()));
}

#[tokio::test]
async fn a_flood_is_harmless() {
    let server = serve(&["--config", &limits("guest", "cpu: 5s, wall: 20s")]).await;
    let answer = server.post(CHAT, &Server::chat("flood", &json!({}))).await;
    assert_eq!(content_of(&answer.json["choices"][0]), "flooded");
}

#[tokio::test]
async fn a_guest_sees_nothing_but_its_request() {
    let server = serve(&[]).await;
    let body = Server::chat("look around", &json!({ "seed": 1 }));
    let seen = server.post(CHAT, &body).await.json["choices"].clone();
    let text = content_of(&seen[0]);
    assert!(text.starts_with(r#"Err("no files") Err("no network") 0 1767225600 "#), "{text}");
    assert_eq!(server.post(CHAT, &body).await.json["choices"], seen, "its randomness follows from the seed");
}

#[tokio::test]
async fn a_guest_gets_the_headers_and_the_body_that_it_needs() {
    let server = serve(&[]).await;
    let headers = [("x-tenant-id", "t1"), ("x-rehearsal-note", "n"), ("authorization", "secret")];
    let ask = async |prompt: &str| {
        let body = Server::chat(prompt, &json!({})).to_string();
        let answer = server.post_text(CHAT, "application/json", &body, &headers).await;
        (content_of(&answer.json["choices"][0]).to_owned(), body)
    };
    let (seen, _) = ask("headers").await;
    assert!(seen.contains(r#"("x-tenant-id", "t1")"#) && seen.contains(r#"("x-rehearsal-note", "n")"#), "{seen}");
    assert!(!seen.contains("secret"), "{seen}");
    let (seen, sent) = ask("raw body").await;
    assert_eq!(seen, sent);
}

#[tokio::test]
async fn state_outlives_calls_and_forgets_the_trial() {
    let server = serve(&[]).await;
    for expected in ["1", "2", "3"] {
        let answer = server.post(CHAT, &Server::chat("count", &json!({}))).await;
        assert_eq!(content_of(&answer.json["choices"][0]), expected);
    }
}

#[tokio::test]
async fn more_calls_than_may_wait_are_refused_with_503() {
    let server = serve(&["--max-num-seqs", "10", "--config", &limits("guest", "concurrency: 1, waiting: 1")]).await;
    let body = Server::chat("sleep", &json!({}));
    let answers = futures::future::join_all((0..5).map(|_| server.post(CHAT, &body))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(refused.len(), 3);
    for answer in refused {
        assert_eq!(answer.json["error"]["code"], "plugin_saturated");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}

#[tokio::test]
async fn a_spinning_guest_holds_up_no_other_stream() {
    let server = serve(&["--max-num-seqs", "20", "--inter-token-latency", "20", "--time-to-first-token", "20"]).await;
    let text = "w ".repeat(40);
    let good = (0..10).map(|_| async {
        let stream = server.stream(CHAT, &Server::chat(&text, &json!({}))).await;
        assert_eq!(stream.text(0), text);
        let times = stream.token_times();
        assert!(*times.last().unwrap() - times[0] >= Duration::from_millis(700), "{times:?}");
    });
    let spin = async {
        loop {
            assert_eq!(server.post(CHAT, &Server::chat("spin", &json!({}))).await.status, 500);
        }
    };
    tokio::select! {
        _ = in_time("the others end", futures::future::join_all(good)) => {}
        () = spin => unreachable!(),
    }
}
