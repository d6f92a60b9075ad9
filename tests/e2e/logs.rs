//! What is written down, and where.

use std::path::Path;

use rehearsal_tests::{Server, until};
use serde_json::json;

use crate::EXE;

/// Serves one request with `args` and ends; the files in `folder` by name, links left out.
async fn logged(folder: &Path, args: &[&str]) -> Vec<(String, String)> {
    let args: Vec<_> = ["--model", "m", "--logtostderr=false"].iter().chain(args).copied().collect();
    let server = Server::start(EXE, &args).await;
    server.get("/health").await;
    server.get("/version?x=1").await;
    assert_eq!(server.post("/v1/completions", &json!({ "prompt": "hello", "max_tokens": 3 })).await.status, 200);
    assert_eq!(server.terminate().await, Some(0));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.is_symlink())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn files_are_klogs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let files = logged(folder.path(), &["--log_dir", path, "-v", "2"]).await;
    let names: Vec<_> = files.iter().map(|(name, _)| name.split('.').nth(3).unwrap()).collect();
    assert_eq!(names, ["INFO", "WARNING"], "errors have no file until there is one");
    let (info, warning) = (&files[0].1, &files[1].1);
    assert!(info.starts_with("Log file created at: "), "{info}");
    // The tokenizer that is not found is a warning, which stands in the milder file too.
    assert!(warning.contains("tokenizer.rs:") && info.contains("the model's tokenizer was not found"));
    let line = info.lines().find(|line| line.contains("Application startup complete.")).unwrap();
    let (header, _) = line.split_once("] ").unwrap();
    let words: Vec<_> = header.split_whitespace().collect();
    assert!(words[0].starts_with('I') && words[0].len() == 5 && words[3].starts_with("serve.rs:"), "{line}");
    assert!(folder.path().join("rehearsal.INFO").is_symlink());
}

#[tokio::test]
async fn one_file_has_everything_as_the_flags_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.log");
    let args = [
        "--log_file",
        path.to_str().unwrap(),
        "--skip_headers",
        "--skip_log_headers",
        "--enable-log-requests",
        "--disable-access-log-for-endpoints",
        "/health,/version",
    ];
    let files = logged(folder.path(), &args).await;
    assert_eq!(files.len(), 1);
    let text = &files[0].1;
    assert!(text.lines().any(|line| line == "Application startup complete."), "{text}");
    assert!(text.contains("Received request cmpl-") && text.contains("max_tokens=3"), "{text}");
    assert!(text.contains(r#" - "POST /v1/completions HTTP/1.1" 200 OK"#), "{text}");
    assert!(!text.contains("/health") && !text.contains("/version"), "{text}");
}

/// An id with a line break in it writes no line of its own.
#[tokio::test]
async fn a_client_forges_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.log");
    let args = ["--model", "m", "--logtostderr=false", "--log_file", path.to_str().unwrap(), "--enable-log-requests"];
    let server = Server::start(EXE, &args).await;
    server.post("/v1/completions", &json!({ "prompt": "x", "request_id": "x\nI1125 forged" })).await;
    assert_eq!(server.terminate().await, Some(0));
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("forged") && !text.lines().any(|line| line.starts_with("I1125 forged")), "{text}");
}

#[tokio::test]
async fn some_files_may_say_more_and_a_line_its_stack() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.log");
    let args = ["--log_file", path.to_str().unwrap(), "--uvicorn-log-level", "warning", "--vmodule", "zmtp=4,serve=0"];
    let files = logged(folder.path(), &args).await;
    let text = &files[0].1;
    assert!(!text.contains(r#""GET /health"#), "no access log: {text}");
    let at = text.lines().find(|line| line.contains("Application startup complete.")).unwrap();
    let place = at.split(']').next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let again = tempfile::tempdir().unwrap();
    let path = again.path().join("all.log");
    let args = ["--log_file", path.to_str().unwrap(), "--log_backtrace_at", &place, "--add_dir_header"];
    let files = logged(again.path(), &args).await;
    assert!(files[0].1.contains(&format!("process/{place}] Application startup complete.\n   0: ")), "{}", files[0].1);
}

#[tokio::test]
async fn throughput_is_told_while_there_is_any() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.log");
    let args = [
        "--model",
        "m",
        "--logtostderr=false",
        "--log_file",
        path.to_str().unwrap(),
        "--enable-kvcache",
        "--zmq-endpoint=",
    ];
    let env = [("VLLM_LOG_STATS_INTERVAL", "0.5")];
    let server = Server::start_with_env(EXE, &args, &env).await;
    server.post("/v1/completions", &json!({ "prompt": "hello", "max_tokens": 3 })).await;
    let line = "Engine 000: Avg prompt throughput: ";
    let read = || std::fs::read_to_string(&path).unwrap();
    let text = until(line, async || Some(read()).filter(|text| text.contains(line))).await;
    assert!(
        text.contains("Running: 0 reqs, Waiting: 0 reqs, GPU KV cache usage: 0.0%, Prefix cache hit rate: 0.0%"),
        "{text}"
    );
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert!(read().matches(line).count() <= 3, "an idle server is silent: {}", read());

    let silent = Server::start(EXE, &["--model", "m", "--disable-log-stats"]).await;
    assert!(!silent.get("/metrics").await.text.contains("vllm:"), "and has no metrics of the engine");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_the_start() {
    let refusal =
        Server::refused(EXE, &["--model", "m", "--logtostderr=false", "--log_file", "/no/such/folder/x.log"]).await;
    assert_eq!(refusal.code, Some(2));
    assert!(refusal.stderr.contains("log-file: cannot write /no/such/folder/x.log"), "{}", refusal.stderr);
}
