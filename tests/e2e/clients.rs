//! Clients that nobody here wrote, in an environment that the suite makes for itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use rehearsal_tests::{ROOT, Server};
use serde_json::json;

use crate::{EXE, serve};

/// The official `openai` Python package and an agent framework on top of it, with pytest.
#[tokio::test]
async fn the_openai_python_package() {
    let echo = serve("--mode echo --max-model-len 100").await;
    let random = serve("--seed 1").await;
    let busy = serve("--max-num-seqs 1 --max-waiting-queue-length 0 --time-to-first-token 30s").await;
    let failing = failing().await;
    let tests = Path::new(ROOT).join("tests/clients/python");
    let urls =
        [("ECHO_URL", &echo.url), ("RANDOM_URL", &random.url), ("BUSY_URL", &busy.url), ("FAILING_URL", &failing.url)];
    let status = tokio::task::spawn_blocking({
        let urls = urls.map(|(name, url)| (name, url.clone()));
        move || {
            Command::new(environment("python", &tests.join("requirements.txt")))
                .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
                .arg(&tests)
                .envs(urls)
                .status()
        }
    });
    assert!(status.await.unwrap().expect("python runs").success());
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
