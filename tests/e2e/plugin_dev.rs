//! `plugin dev`: a project is built, tested and served, and again whenever a file of it changes.

use std::process::Stdio;
use std::time::Duration;

use rehearsal_tests::{ROOT, examples, http_client};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::EXE;

/// One that runs.
struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    folder: tempfile::TempDir,
}

impl Dev {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let marks = std::fs::read_to_string(format!("{ROOT}/plugins/example/shout/plugin.yaml")).unwrap();
        let project = format!("name: mine\nbuild: sh build.sh\ncomponent: plugin.wasm\n{marks}");
        std::fs::write(folder.path().join("plugin.yaml"), project).unwrap();
        std::fs::write(folder.path().join("build.sh"), format!("cp {} plugin.wasm\n", examples::SHOUT)).unwrap();
        let mut command = Command::new(EXE);
        command.args(["plugin", "dev"]).arg(folder.path()).args(["--state", "state.json", "--", "--port", "0"]);
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, folder }
    }

    /// What the next line that begins so goes on with.
    async fn next(&mut self, step: &str) -> String {
        let next = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it goes on");
                if let Some(rest) = line.strip_prefix(step) {
                    return rest.trim().to_owned();
                }
            }
        };
        timeout(Duration::from_secs(120), next).await.unwrap_or_else(|_| panic!("no line begins with {step:?}"))
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }
}

/// What is answered there.
async fn said(url: &str) -> Value {
    let body = json!({ "model": "my-model", "prompt": "be quick" });
    let answer = http_client().build().unwrap().post(format!("{url}/v1/completions")).json(&body).send().await.unwrap();
    answer.json::<Value>().await.unwrap()["choices"][0]["text"].clone()
}

#[tokio::test]
async fn a_project_is_built_tested_and_served_again_when_it_changes() {
    let mut dev = Dev::start();
    assert!(dev.next("build ").await.starts_with("sh build.sh  "));
    assert!(dev.next("test ").await.contains(" checks, 0 failed  "));
    let url = dev.next("serve ").await.split(' ').next().unwrap().to_owned();
    assert_eq!(said(&url).await, "BE QUICK");

    dev.write("build.sh", "echo no way; exit 3\n");
    assert_eq!(dev.next("change ").await, "build.sh");
    assert!(dev.next("        sh build.sh failed (exit status: 3):").await.is_empty());
    assert_eq!(dev.next("no way").await, "");
    assert_eq!(dev.next("the version before serves on at ").await, url);

    dev.write("build.sh", &format!("cp {} plugin.wasm\n", examples::SHOUT));
    dev.next("reload ").await;
    std::fs::create_dir(dev.folder.path().join("scenarios")).unwrap();
    dev.write("scenarios/slow.yaml", "steps: [{request: be quick, expect: {text: be slow}}]\n");
    assert_eq!(dev.next("change ").await, "scenarios/slow.yaml");
    assert!(dev.next("test ").await.contains(" checks, 1 failed  "));
    dev.next("          FAIL  scenario: slow.yaml: step 1: text: \"BE QUICK\", expected \"be slow\"").await;
    dev.next("the version before serves on").await;
    assert_eq!(said(&url).await, "BE QUICK");
    std::fs::remove_file(dev.folder.path().join("scenarios/slow.yaml")).unwrap();

    // The same with a section more, which is another component.
    dev.write("build.sh", &format!("cp {} plugin.wasm; printf '\\0\\005\\004more' >> plugin.wasm\n", examples::SHOUT));
    assert!(dev.next("reload ").await.starts_with(&url));
    assert_eq!(said(&url).await, "BE QUICK");

    // Other limits take another start.
    let said_before = std::fs::read_to_string(dev.folder.path().join("plugin.yaml")).unwrap();
    dev.write("plugin.yaml", &format!("{said_before}limits: {{cpu: 300ms}}\n"));
    let url = dev.next("serve ").await.split(' ').next().unwrap().to_owned();
    assert_eq!(said(&url).await, "BE QUICK");

    let state = json!({ "entries": [{ "key": "k", "number": 7 }] });
    let put =
        http_client().build().unwrap().put(format!("{url}/rehearsal/plugins/mine/state")).json(&state).send().await;
    assert_eq!(put.unwrap().status(), 204);
    let pid = dev.child.id().unwrap().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    let ended = timeout(Duration::from_secs(60), dev.child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
    let kept = std::fs::read_to_string(dev.folder.path().join("state.json")).unwrap();
    assert!(kept.contains("\"number\": 7"), "{kept}");
    assert!(
        http_client().build().unwrap().get(format!("{url}/health")).send().await.is_err(),
        "its server has ended too"
    );
}

#[tokio::test]
async fn what_is_no_project_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(EXE).args(["plugin", "dev"]).arg(folder.path()).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("is no project: it has no plugin.yaml"), "{said}");
    std::fs::write(folder.path().join("plugin.yaml"), "{build: make, component: it.wasm}").unwrap();
    let output = Command::new(EXE).args(["plugin", "dev"]).arg(folder.path()).args(["--", "--config=c"]).output();
    let output = output.await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("--config=c cannot be given to the server"), "{said}");
}
