//! Plugins are replaced while the server serves: by a signal, or because their files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rehearsal_tests::{MISBEHAVE, Server, content_of, examples};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::EXE;

const CHAT: &str = "/v1/chat/completions";

fn echo() -> &'static [u8] {
    rehearsal_builtin::find("echo").unwrap().component
}

/// A server whose plugin `mine` lies in a folder of its own.
struct Reloading {
    server: Server,
    folder: TempDir,
}

impl Reloading {
    async fn start(component: &[u8], args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.wasm");
        std::fs::write(&file, component).unwrap();
        let server = serve(&file, args).await;
        Self { server, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("mine.wasm")
    }

    /// Puts another component in the file's place, in one step.
    fn replace(&self, component: &[u8]) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, component).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }
}

async fn serve(file: &Path, args: &[&str]) -> Server {
    let plugin = format!("mine={}", file.display());
    let args = [&["--model", "m", "--plugin", &plugin, "--mode", "mine"], args].concat();
    Server::start(EXE, &args).await
}

async fn say(server: &Server) -> String {
    let answer = server.post(CHAT, &Server::chat("be quick", &json!({}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    content_of(&answer.json["choices"][0]).to_owned()
}

async fn mine(server: &Server) -> Value {
    let plugins = server.get("/rehearsal/plugins").await.json["plugins"].take();
    plugins.as_array().unwrap().iter().find(|plugin| plugin["name"] == "mine").unwrap().clone()
}

/// Waits until `is_so` of what the server tells of its plugin.
async fn until(server: &Server, is_so: impl Fn(&Value) -> bool) {
    rehearsal_tests::until("the server says so of its plugin", async || {
        let mine = mine(server).await;
        is_so(&mine).then_some(())
    })
    .await;
}

async fn reloads(server: &Server, outcome: &str) -> String {
    let row = format!("rehearsal_plugin_reloads_total{{outcome=\"{outcome}\",plugin=\"mine\"}} ");
    let page = server.get("/metrics").await.text;
    page.lines().find_map(|line| line.strip_prefix(&row)).unwrap_or_else(|| panic!("{page}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_fail_no_request() {
    let shout = std::fs::read(examples::SHOUT).unwrap();
    let reloading = Arc::new(Reloading::start(echo(), &["--max-num-seqs", "8"]).await);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..8).map(|_| {
        let (reloading, stop, served) = (reloading.clone(), stop.clone(), served.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(say(&reloading.server).await.to_lowercase(), "be quick");
                served.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    for round in 0..1000 {
        let (component, description) =
            if round % 2 == 0 { (&*shout, "says it louder") } else { (echo(), "repeats the user's text") };
        reloading.replace(component);
        reloading.server.signal("HUP").await;
        until(&reloading.server, |mine| mine["description"] == description).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request failed");
    }
    assert_eq!(reloads(&reloading.server, "ok").await, "1000");
    assert!(served.load(Ordering::Relaxed) > 1000);
}

#[tokio::test]
async fn a_bad_new_version_changes_nothing_but_what_is_told() {
    let Reloading { server, folder } = Reloading::start(echo(), &[]).await;
    let replace = |component: &[u8]| std::fs::write(folder.path().join("mine.wasm"), component).unwrap();
    replace(b"#!/bin/sh");
    server.signal("HUP").await;
    until(&server, |mine| mine["last_reload"]["error"] == r#"plugin "mine": this is not a WebAssembly file"#).await;
    assert_eq!((say(&server).await.as_str(), reloads(&server, "failed").await.as_str()), ("be quick", "1"));
    // It loads, but this one is picked to generate.
    replace(rehearsal_builtin::find("failure").unwrap().component);
    server.signal("HUP").await;
    let gone = r#"plugin "mine": it no longer exports generator, which the version that serves does"#;
    until(&server, |mine| mine["last_reload"]["error"] == gone).await;
    assert_eq!((say(&server).await.as_str(), reloads(&server, "ok").await.as_str()), ("be quick", "0"));
}

#[tokio::test]
async fn a_new_version_is_sent_what_it_needs() {
    let reloading = Reloading::start(echo(), &[]).await;
    reloading.replace(&std::fs::read(MISBEHAVE).unwrap());
    reloading.server.signal("HUP").await;
    until(&reloading.server, |mine| mine["description"] == "does what its prompt says").await;
    let body = Server::chat("headers", &json!({})).to_string();
    let answer =
        reloading.server.post_text(CHAT, "application/json", &body, &[("x-tenant-id", "a"), ("cookie", "b")]).await;
    assert!(content_of(&answer.json["choices"][0]).contains("x-tenant-id"), "{}", answer.text);
}

#[tokio::test]
async fn watched_files_are_reloaded_once_they_are_whole() {
    let shout = std::fs::read(examples::SHOUT).unwrap();
    let Reloading { server, folder } = Reloading::start(echo(), &["--watch-plugins"]).await;
    let file = folder.path().join("mine.wasm");
    // Copied into place bit by bit, never at rest for two looks.
    for part in 1..60 {
        std::fs::write(&file, &shout[..shout.len() * part / 60]).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(say(&server).await, "be quick");
    std::fs::write(&file, &shout).unwrap();
    until(&server, |mine| mine["description"] == "says it louder").await;
    assert_eq!((say(&server).await.as_str(), reloads(&server, "failed").await.as_str()), ("BE QUICK", "0"));
}

/// A mounted ConfigMap is a link to a link to a folder, and an update replaces the middle one.
#[tokio::test]
async fn kubernetes_way_of_swapping_links_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, component: &[u8]| {
        let version = folder.path().join(name);
        std::fs::create_dir(&version).unwrap();
        std::fs::write(version.join("mine.wasm"), component).unwrap();
    };
    let point_at = |name: &str| {
        std::os::unix::fs::symlink(name, folder.path().join("..data_tmp")).unwrap();
        std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    version("..1", echo());
    point_at("..1");
    std::os::unix::fs::symlink("..data/mine.wasm", folder.path().join("mine.wasm")).unwrap();
    let server = serve(&folder.path().join("mine.wasm"), &["--watch-plugins"]).await;
    assert_eq!(say(&server).await, "be quick");
    version("..2", &std::fs::read(examples::SHOUT).unwrap());
    point_at("..2");
    std::fs::remove_dir_all(folder.path().join("..1")).unwrap();
    until(&server, |mine| mine["description"] == "says it louder").await;
    assert_eq!(say(&server).await, "BE QUICK");
}
