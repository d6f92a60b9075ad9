//! How a server begins and ends.

use std::process::Command;
use std::time::Duration;

use rehearsal_tests::{Server, until};
use serde_json::json;

use crate::clock::queued;
use crate::{EXE, serve};

const COMPLETIONS: &str = "/v1/completions";

#[tokio::test]
async fn a_server_is_ready_after_its_startup_duration_and_answers_before() {
    let server = serve("--startup-duration 2s").await;
    for path in ["/ready", "/health/ready"] {
        assert_eq!(server.get(path).await.status, 503, "{path}");
    }
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.post(COMPLETIONS, &json!({ "prompt": "hi" })).await.status, 200);
    until("it is ready", async || (server.get("/ready").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn health_asks_a_server_whether_it_is_ready() {
    let server = serve("").await;
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let health = move |path: &str| {
        Command::new(EXE).args(["health", "--port", &port, "--path", path]).output().unwrap().status.code()
    };
    let (ready, missing) =
        tokio::task::spawn_blocking(move || (health("/health/ready"), health("/nowhere"))).await.unwrap();
    assert_eq!((ready, missing), (Some(0), Some(1)));
    let no_server = Command::new(EXE).args(["health", "--port", "1"]).output().unwrap();
    assert_eq!(no_server.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&no_server.stdout).starts_with("no answer from http://127.0.0.1:1"));
    let encrypted = serve("--self-signed-certs").await;
    let port = encrypted.url.rsplit(':').next().unwrap().to_owned();
    let health = move || Command::new(EXE).args(["health", "--tls", "--port", &port]).output().unwrap().status.code();
    assert_eq!(tokio::task::spawn_blocking(health).await.unwrap(), Some(0));
}

/// A request that takes as long as `args` say, and what becomes of it when a signal comes as soon as it has arrived.
async fn stopped(args: &str, second_signal: bool) -> (bool, Option<i32>) {
    let server = serve(args).await;
    let request = server.http.post(format!("{}{COMPLETIONS}", server.url)).json(&json!({ "prompt": "hi" })).send();
    let answered = tokio::spawn(async move { request.await.is_ok_and(|response| response.status() == 200) });
    queued(&server, 1).await;
    server.signal("TERM").await;
    if second_signal {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.signal("INT").await;
    }
    let code = server.ended().await;
    (answered.await.unwrap(), code)
}

#[tokio::test]
async fn running_requests_have_the_shutdown_timeout_to_end() {
    let (answered, code) = stopped("--time-to-first-token 2s --shutdown-timeout 30", false).await;
    assert_eq!((answered, code), (true, Some(0)));
    let (answered, code) = stopped("--time-to-first-token 300s", false).await;
    assert_eq!((answered, code), (false, Some(0)));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let (answered, code) = stopped("--time-to-first-token 300s --shutdown-timeout 300", true).await;
    assert_eq!((answered, code), (false, Some(0)));
}

/// No home, a home that cannot be written, a user without a name: components are compiled without a cache.
#[tokio::test]
async fn a_server_starts_where_it_may_write_nothing() {
    for home in ["", "/proc", "/nonexistent"] {
        let env = [("HOME", home), ("XDG_CACHE_HOME", home), ("TMPDIR", "/proc")];
        let server = Server::start_with_env(EXE, &["--model", "m"], &env).await;
        assert_eq!(server.post(COMPLETIONS, &json!({ "prompt": "hi" })).await.status, 200, "HOME={home:?}");
    }
}

/// A tokenizer that is fetched from a hub which never answers, and a signal meanwhile.
#[tokio::test]
async fn a_signal_ends_a_start_too() {
    let hub = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let mut server = Command::new(EXE)
        .args(["--model", "org/model", "--uds", socket.to_str().unwrap()])
        .env("HF_ENDPOINT", format!("http://{}", hub.local_addr().unwrap()))
        .env("HF_HOME", folder.path())
        .env_remove("HF_HUB_OFFLINE")
        .spawn()
        .unwrap();
    let (_asked, _) = hub.accept().unwrap();
    Command::new("kill").arg(server.id().to_string()).status().unwrap();
    let status = tokio::task::spawn_blocking(move || server.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!socket.exists());
}
