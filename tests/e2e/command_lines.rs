//! Command lines that people start vLLM and the reference simulator with, as they stand in public: each starts this
//! server, which answers under the name that its users know.

use rehearsal_tests::{ROOT, Server};
use serde::Deserialize;
use serde_json::json;

use crate::EXE;

/// A line of `tests/data/serve-lines.json`.
#[derive(Deserialize)]
struct Line {
    /// Where it stands.
    source: String,
    /// What follows `vllm serve`, or the server's module.
    args: Vec<String>,
}

/// Starts a line and asks for an answer.
async fn answers(args: &[&str], source: &str) {
    let server = Server::start_verbatim(EXE, args, &[]).await;
    let models = server.get("/v1/models").await;
    let model = models.json["data"][0]["id"].as_str().unwrap_or_else(|| panic!("{source}: {}", models.text)).to_owned();
    let answer = server.post("/v1/chat/completions", &Server::chat("hi", &json!({ "model": model }))).await;
    assert_eq!(
        (answer.status, answer.json["model"].as_str()),
        (200, Some(model.as_str())),
        "{source}: {}",
        answer.text
    );
}

#[tokio::test]
async fn lines_of_vllm_serve_start_this_server() {
    let lines = std::fs::read_to_string(format!("{ROOT}/tests/data/serve-lines.json")).unwrap();
    let lines: Vec<Line> = serde_json::from_str(&lines).unwrap();
    assert!(lines.len() >= 20);
    // One after the other: some listen on a port of their own for events.
    for Line { source, args } in &lines {
        let args: Vec<_> = std::iter::once("serve").chain(args.iter().map(String::as_str)).collect();
        answers(&args, source).await;
    }
}

/// The seeds' `docker run`, the manifest that ships with the reference simulator, and what its newest router tests with.
#[tokio::test]
async fn lines_of_the_reference_simulator_start_this_server() {
    for args in [
        &[
            "--port",
            "8000",
            "--model",
            "Qwen/Qwen2.5-1.5B-Instruct",
            "--lora-modules",
            r#"{"name":"tweet-summary-0"}"#,
            r#"{"name":"tweet-summary-1"}"#,
        ][..],
        &["--model", "my_model", "--port", "8000"],
        &[
            "--model",
            "meta-llama/Llama-3.1-8B-Instruct",
            "--port",
            "8000",
            "--max-loras",
            "2",
            "--lora-modules",
            r#"{"name": "food-review-1"}"#,
        ],
        &[
            "--mode",
            "echo",
            "--model",
            "m",
            "--enable-kvcache",
            "--kv-cache-size",
            "64",
            "--block-size",
            "16",
            "--zmq-endpoint=tcp://127.0.0.1:1",
            "--force-dummy-tokenizer",
            "--max-loras",
            "2",
            "--lora-modules",
            r#"{"name": "food-review-1"}"#,
            "--max-waiting-queue-length",
            "10",
            "--render-timeout",
            "1s",
            "--prefill-time-per-token",
            "100us",
        ],
        &[
            "--model",
            "m",
            "-v",
            "4",
            "--logtostderr",
            "--vmodule=serve=2",
            "--skip_headers",
            "--add_dir_header",
            "--stderrthreshold",
            "1",
        ],
    ] {
        answers(args, &args.join(" ")).await;
    }
}

/// The reference simulator's `config.yaml`, whose adapters are JSON in strings.
#[tokio::test]
async fn its_configuration_file_is_understood() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let config = "port: 8001
model: \"Qwen/Qwen2-0.5B\"
served-model-name: [\"model1\", \"model2\"]
max-loras: 2
max-cpu-loras: 5
max-num-seqs: 5
lora-modules:
- '{\"name\":\"lora1\",\"path\":\"/path/to/lora1\"}'
- '{\"name\":\"lora2\",\"path\":\"/path/to/lora2\"}'
mode: \"random\"
time-to-first-token: 20
inter-token-latency: 10
kv-cache-transfer-latency: 10
seed: 100100100
";
    std::fs::write(file.path(), config).unwrap();
    answers(&["--config", file.path().to_str().unwrap()], "config.yaml").await;
}

#[tokio::test]
async fn lines_that_cannot_be_meant_are_refused_with_every_problem() {
    let args = ["--model", "m", "--max-running-requests", "5", "--lora", "a,b", "--prot", "1"];
    let refusal = Server::refused(EXE, &args).await;
    assert_eq!(refusal.code, Some(2));
    for problem in ["--max-num-seqs", "--lora-modules", "did you mean --port?"] {
        assert!(refusal.stderr.contains(problem), "{problem}: {}", refusal.stderr);
    }
}

/// Everything in one place: the key, the value, where it came from, and what would be right.
#[tokio::test]
async fn check_says_everything_that_is_wrong_without_a_start() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), "model: m\nmax-num-seqs: none\nblock-size: 17\n").unwrap();
    let path = file.path().to_str().unwrap();
    let check = |args: &[&str]| {
        std::process::Command::new(EXE).arg("check").args(args).env("HF_HUB_OFFLINE", "1").output().unwrap()
    };
    let bad = check(&[path, "--port", "70000"]);
    let stderr = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(2), "{stderr}");
    for problem in [
        format!("max-num-seqs: \"none\" is not a whole number from 1 to 4294967295 (from {path})"),
        format!("block-size: 17 is none of 8, 16, 32, 64 and 128 (from {path})"),
        "port: \"70000\" is not a whole number from 0 to 65535 (from the command line)".to_owned(),
    ] {
        assert!(stderr.contains(&problem), "{problem}: {stderr}");
    }
    // What only building it would find.
    let bad =
        check(&["--model", "m", "--mode", "ecco", "--ssl-certfile", "/no/such.pem", "--chat-template", "{% if %}"]);
    let stderr = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(2), "{stderr}");
    for problem in ["mode: \"ecco\" is no plugin", "ssl-certfile: cannot read /no/such.pem", "chat-template: "] {
        assert!(stderr.contains(problem), "{problem}: {stderr}");
    }
    let bad =
        check(&["--model", "m", "--uds", "/no/such/folder/s", "--logtostderr=false", "--log_file", "/no/such/x.log"]);
    let stderr = String::from_utf8_lossy(&bad.stderr);
    assert!(
        stderr.contains("uds: there is no folder /no/such/folder") && stderr.contains("log-file: there is no"),
        "{stderr}"
    );
    let good = check(&["serve", "m", "-tp", "8"]);
    let stdout = String::from_utf8_lossy(&good.stdout);
    assert!(good.status.success() && stdout.contains("the configuration is good"), "{stdout}");
    assert!(stdout.contains("note: accepted, without effect here: --tensor-parallel-size"), "{stdout}");
}

#[test]
fn completions_are_made_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = std::process::Command::new(EXE).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && script.contains("max-num-seqs"), "{shell}");
    }
    let wrong = std::process::Command::new(EXE).args(["completions", "cmd"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
