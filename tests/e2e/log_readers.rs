//! Logs that cannot be written: nothing but lines is lost, and those are counted.

use std::process::{Command, Stdio};

use rehearsal_tests::{MISBEHAVE, Server, Unread, in_time, until};
use serde_json::json;

use crate::EXE;
use crate::connections::metric;

const LINES: &str = "rehearsal_log_lines_dropped_total";

/// Loads an adapter, which is logged, and completes a text.
async fn serves(server: &Server) {
    let adapter = json!({ "lora_name": "a", "lora_path": "/a" });
    assert_eq!(server.post("/v1/load_lora_adapter", &adapter).await.status, 200);
    let body = json!({ "model": "a", "prompt": "hi", "max_tokens": 2 });
    assert_eq!(server.post("/v1/completions", &body).await.status, 200);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_given_up() {
    let server = Server::start_unread(EXE, &["--model", "m"], Unread::Closed).await;
    serves(&server).await;
    assert!(metric(&server, LINES).await >= 1);
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_nothing() {
    // Each request's prompt is in the log.
    let args = ["--model", "m", "-v", "2", "--enable-log-requests", "--max-model-len", "1000000"];
    let server = Server::start_unread(EXE, &args, Unread::Full).await;
    let prompt = "word ".repeat(100_000);
    let body = json!({ "prompt": prompt, "max_tokens": 1 });
    // More than waits for a reader.
    for _ in 0..12 {
        assert_eq!(server.post("/v1/completions", &body).await.status, 200);
    }
    in_time("it serves on", async {
        assert_eq!(server.get("/health").await.status, 200);
        serves(&server).await;
    })
    .await;
    assert!(metric(&server, LINES).await >= 1);
    assert_eq!(in_time("it ends", server.terminate()).await, Some(0));
}

#[tokio::test]
async fn a_full_disk_is_no_failure() {
    let args = ["--model", "m", "--logtostderr=false", "--log_file", "/dev/full", "--skip_log_headers"];
    let args = [&args[..], &["--capture-file", "/dev/full"]].concat();
    let server = Server::start(EXE, &args).await;
    serves(&server).await;
    // Written by threads of their own.
    for row in [LINES, "rehearsal_capture_lines_dropped_total"] {
        until(row, async || (metric(&server, row).await > 0).then_some(())).await;
    }
    assert_eq!(server.terminate().await, Some(0));
}

/// As in `rehearsal … 2>&1 | head -n1`.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for args in ["--model m --port 0", "--no-such-flag", "--model m --port 0 --tokenizer /no/such/folder"] {
        let command = format!("{EXE} {args} 2>&1 | head -n0; echo ${{PIPESTATUS[0]}}");
        let mut shell = Command::new("timeout");
        shell.args(["-s", "TERM", "5", "bash", "-c", &format!("timeout -s TERM 3 {command}")]);
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let code = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // 124: it was still serving when it was told to stop.
        assert!(["124", "2"].contains(&code.as_str()), "{args}: {code} {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn a_guest_that_always_logs_is_limited_over_time() {
    let plugin = format!("misbehave={MISBEHAVE}");
    let server = Server::start(EXE, &["--model", "m", "--plugin", &plugin, "--mode", "misbehave"]).await;
    for _ in 0..30 {
        server.post("/v1/completions", &json!({ "prompt": "chatter", "max_tokens": 1 })).await;
    }
    let row = r#"rehearsal_plugin_log_lines_dropped_total{plugin="misbehave"}"#;
    let dropped = metric(&server, row).await;
    // Each call is within its own limit: 2,700 lines, of which 1,000 are a burst and a hundred a second are let through.
    assert!((200..=1_700).contains(&dropped), "{dropped}");
}
