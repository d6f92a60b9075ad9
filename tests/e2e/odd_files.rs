//! Files that are no files, or too large, or gone: a clear refusal, and soon.

use std::path::Path;
use std::process::Command;

use rehearsal_tests::examples::SHOUT;
use rehearsal_tests::{MISBEHAVE, Server, until};
use serde_json::json;

use crate::EXE;

/// What a server says that does not start with `args`; it may not be for ever over it.
async fn refused(args: &[&str]) -> String {
    let refusal = Server::refused(EXE, &[&["--model", "m"], args].concat()).await;
    assert_eq!(refusal.code, Some(2), "{args:?}: {}", refusal.stderr);
    refusal.stderr
}

fn pipe(folder: &Path) -> String {
    let path = folder.join("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// A file of 300 MB that takes no room.
fn large(folder: &Path) -> String {
    let path = folder.join("large");
    std::fs::File::create(&path).unwrap().set_len(300 << 20).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn what_is_no_file_is_refused_wherever_one_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, large) = (pipe(folder.path()), large(folder.path()));
    let directory = folder.path().display().to_string();
    let odd = [
        (pipe.as_str(), "it is a pipe, not a regular file"),
        ("/dev/zero", "it is a device, not a regular file"),
        (directory.as_str(), "it is a directory, not a regular file"),
        (large.as_str(), "it has 314572800 bytes or more, and at most"),
    ];
    for (path, what) in odd {
        let plugin = format!("x={path}");
        let of_key: [&[&str]; 4] = [
            &["--config", path],
            &["--plugin", &plugin, "--mode", "x"],
            &["--chat-template", path],
            &["--ssl-certfile", path, "--ssl-keyfile", path],
        ];
        for args in of_key {
            let said = refused(args).await;
            assert!(said.contains(what) && said.contains(path), "{args:?}: {said}");
        }
        // A folder is a model's there.
        let what = if path == directory { "has no tokenizer.json" } else { what };
        let said = refused(&["--tokenizer", path]).await;
        assert!(said.contains(what), "--tokenizer {path}: {said}");
    }
}

#[tokio::test]
async fn a_configuration_that_is_nothing_but_brackets_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yaml");
    for text in ["[".repeat(200_000), "{".repeat(200_000), format!("model: {}", "[".repeat(200_000))] {
        std::fs::write(&path, text).unwrap();
        let said = refused(&["--config", path.to_str().unwrap()]).await;
        assert!(said.contains("is not valid YAML"), "{said}");
        assert!(said.len() < 2000, "{} bytes", said.len());
    }
    let said = refused(&["--plugin-config", &format!("echo={}", "[".repeat(100_000))]).await;
    assert!(said.len() < 2000, "{} bytes", said.len());
}

/// As a reload by hand does; and a good file sets things right.
#[tokio::test]
async fn a_watched_file_that_becomes_none_is_told_of_and_may_become_one_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.wasm");
    std::fs::copy(SHOUT, &path).unwrap();
    let plugin = format!("p={}", path.display());
    let server = Server::start(EXE, &["--model", "m", "--mode", "p", "--plugin", &plugin, "--watch-plugins"]).await;
    let counted = async |outcome: &str, n: u64| {
        let row = format!(r#"rehearsal_plugin_reloads_total{{outcome="{outcome}",plugin="p"}} {n}"#);
        until(&row, async || server.get("/metrics").await.text.contains(&row).then_some(())).await;
    };
    std::fs::remove_file(&path).unwrap();
    counted("failed", 1).await;
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    counted("failed", 2).await;
    let plugins = server.get("/rehearsal/plugins").await.json;
    let of = plugins["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "p").unwrap();
    assert!(of["last_reload"]["error"].as_str().unwrap().contains("it is a pipe, not a regular file"), "{of}");
    let body = json!({ "prompt": "internal", "max_tokens": 5 });
    assert_eq!(server.post("/v1/completions", &body).await.json["choices"][0]["text"], "INTERNAL");
    std::fs::remove_file(&path).unwrap();
    std::fs::copy(MISBEHAVE, &path).unwrap();
    counted("ok", 1).await;
    assert_eq!(server.post("/v1/completions", &body).await.status, 500, "another plugin answers");
}
