//! Flags of vLLM that change what requests may ask for and what answers carry.

use rehearsal_tests::{Server, content_of, until};
use serde_json::{Value, json};

use crate::clock::queued;
use crate::{EXE, serve};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

/// The texts of a stream's chunks with tokens.
fn texts(chunks: &[Value]) -> Vec<String> {
    let choices = chunks.iter().filter_map(|chunk| chunk["choices"].get(0));
    choices.filter(|choice| choice["delta"]["role"].is_null()).map(|choice| content_of(choice).to_owned()).collect()
}

#[tokio::test]
async fn a_chunk_has_as_many_tokens_as_the_stream_interval_says() {
    let server = serve("--mode echo --stream-interval 3").await;
    let prompt = "one two three four five six seven eight";
    for (path, body) in [(CHAT, Server::chat(prompt, &json!({}))), (COMPLETIONS, json!({ "prompt": prompt }))] {
        let chunks = server.stream(path, &body).await.chunks();
        assert_eq!(texts(&chunks), ["one ", "two three four ", "five six seven ", "eight"], "{path}");
    }
    let wider = Server::chat(prompt, &json!({ "stream_interval": 100 }));
    assert_eq!(texts(&server.stream(CHAT, &wider).await.chunks()), ["one ", "two three four five six seven eight"]);
    let wrong = server.post(CHAT, &Server::chat(prompt, &json!({ "stream_interval": 0 }))).await;
    assert_eq!((wrong.status, wrong.json["error"]["param"].as_str()), (400, Some("body.stream_interval")));
}

#[tokio::test]
async fn a_stream_ends_with_its_usage_where_that_is_forced() {
    let server = serve("--enable-force-include-usage").await;
    let chunks = server.stream(CHAT, &Server::chat("hi", &json!({}))).await.chunks();
    let last = chunks.last().unwrap();
    assert!(last["choices"].as_array().unwrap().is_empty() && last["usage"]["total_tokens"].is_u64(), "{last}");
}

#[tokio::test]
async fn a_stream_that_waits_says_that_it_is_alive() {
    let server = serve("--time-to-first-token 700ms --sse-keep-alive-interval 200ms").await;
    let body = json!({ "prompt": "hi", "max_tokens": 1, "stream": true });
    let answer = server.post(COMPLETIONS, &body).await;
    assert_eq!(answer.status, 200);
    let (before, after) = answer.text.split_once("data: ").unwrap();
    let comments = before.matches(": keep-alive\n\n").count();
    assert!((2..=3).contains(&comments) && before.len() == comments * 14, "{before:?}");
    assert!(after.ends_with("data: [DONE]\n\n"), "{after}");
    // What fails before the first token has its status still, if it fails soon enough.
    let missing = server.post(COMPLETIONS, &json!({ "prompt": "hi", "model": "ghost", "stream": true })).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn answers_carry_the_requests_id_or_one_of_their_own() {
    let server = serve("--enable-request-id-headers").await;
    let body = json!({ "prompt": "hi" }).to_string();
    let named = server.post_text(COMPLETIONS, "application/json", &body, &[("x-request-id", "mine")]).await;
    assert_eq!(named.header("x-request-id"), Some("mine"));
    let id = server.get("/nowhere").await.header("x-request-id").unwrap().to_owned();
    assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_eq!(serve("").await.get("/health").await.header("x-request-id"), None);
}

#[tokio::test]
async fn the_load_is_the_number_of_requests_that_are_answered() {
    let server = serve("--enable-server-load-tracking --clock manual --time-to-first-token 1s").await;
    let load = async || server.get("/load").await.json["server_load"].clone();
    assert_eq!(load().await, 0);
    let body = json!({ "prompt": "hi", "max_tokens": 1 });
    let (_, _, during) = tokio::join!(server.post(COMPLETIONS, &body), server.stream(COMPLETIONS, &body), async {
        queued(&server, 2).await;
        let load = load().await;
        server.post("/admin/clock", &json!({ "until-idle": true })).await;
        load
    });
    assert_eq!(during, 2);
    until("the load is gone", async || (load().await == 0).then_some(())).await;
    assert_eq!(serve("").await.get("/load").await.json, json!({ "server_load": 0 }));
}

#[tokio::test]
async fn a_proxys_path_may_stand_before_every_other() {
    let server = serve("--root-path /llm/ --api-key k").await;
    let status = async |path: &str, key: &str| {
        let request = server.http.get(format!("{}{path}", server.url)).header("authorization", format!("Bearer {key}"));
        request.send().await.unwrap().status().as_u16()
    };
    for (path, key, expected) in [
        ("/llm/v1/models", "k", 200),
        ("/v1/models", "k", 200),
        ("/llm/v1/models", "x", 401),
        ("/v1/models", "x", 401),
        ("/llm/health", "x", 200),
        ("/llmv1/models", "k", 404),
        ("/llm", "k", 404),
    ] {
        assert_eq!(status(path, key).await, expected, "{path}");
    }
    // A prefix that ends within a guarded path opens nothing.
    let server = serve("--root-path /v --api-key k").await;
    assert_eq!(server.get("/v1/models").await.status, 401);
}

#[tokio::test]
async fn limits_of_requests_come_from_flags_and_the_environment() {
    let env = [("VLLM_MAX_N_SEQUENCES", "2"), ("VLLM_MAX_STOP_STRINGS", "1"), ("VLLM_MAX_COMPLETION_PROMPTS", "1")];
    let server = Server::start_with_env(EXE, &["--model", "m", "--max-logprobs", "3"], &env).await;
    for (body, status) in [
        (json!({ "prompt": "hi", "n": 2 }), 200),
        (json!({ "prompt": "hi", "n": 3 }), 400),
        (json!({ "prompt": "hi", "stop": ["a"] }), 200),
        (json!({ "prompt": "hi", "stop": ["a", "b"] }), 400),
        (json!({ "prompt": ["a", "b"] }), 400),
        (json!({ "prompt": "hi", "logprobs": 3 }), 200),
        (json!({ "prompt": "hi", "logprobs": 4 }), 400),
        (json!({ "prompt": "hi", "logprobs": -1 }), 400),
        (json!({ "prompt": "hi", "prompt_logprobs": 4 }), 400),
    ] {
        assert_eq!(server.post(COMPLETIONS, &body).await.status, status, "{body}");
    }
    let free = serve("--max-logprobs -1").await;
    assert_eq!(free.post(COMPLETIONS, &json!({ "prompt": "hi", "logprobs": 1000 })).await.status, 200);
}

#[tokio::test]
async fn answers_are_no_longer_than_the_generation_configuration_says() {
    let server = serve(r#"--override-generation-config {"max_new_tokens":4,"temperature":0.5}"#).await;
    for more in [json!({ "ignore_eos": true }), json!({ "ignore_eos": true, "max_tokens": 100 })] {
        let answer = server.post(CHAT, &Server::chat("hi", &more)).await;
        assert_eq!(answer.json["usage"]["completion_tokens"], 4, "{more}");
    }
    let shorter = server.post(CHAT, &Server::chat("hi", &json!({ "ignore_eos": true, "max_tokens": 2 }))).await;
    assert_eq!(shorter.json["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn tools_are_not_called_freely_where_that_is_turned_off() {
    let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": {} } }]);
    let free = Server::chat("hi", &json!({ "tools": tools }));
    let server = serve("--no-enable-auto-tool-choice").await;
    let refused = server.post(CHAT, &free).await;
    assert_eq!(refused.status, 400);
    let message = "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set";
    assert_eq!(refused.json["error"]["message"], message);
    let required = Server::chat("hi", &json!({ "tools": tools, "tool_choice": "required" }));
    assert_eq!(server.post(CHAT, &required).await.status, 200);
    assert_eq!(serve("--enable-auto-tool-choice --tool-call-parser hermes").await.post(CHAT, &free).await.status, 200);
}

#[tokio::test]
async fn answers_have_the_role_that_the_server_gives_them() {
    let server = serve("--response-role bot").await;
    let answer = server.post(CHAT, &Server::chat("hi", &json!({}))).await;
    assert_eq!(answer.json["choices"][0]["message"]["role"], "bot");
    let continued = Server::chat("hi", &json!({ "add_generation_prompt": false }));
    let chunks = server.stream(CHAT, &continued).await.chunks();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "user");
}

#[tokio::test]
async fn any_model_may_be_asked_for_where_names_are_not_checked() {
    let server = Server::start_with_env(EXE, &["--model", "m"], &[("VLLM_SKIP_MODEL_NAME_VALIDATION", "1")]).await;
    let answer = server.post(CHAT, &Server::chat("hi", &json!({ "model": "ghost" }))).await;
    assert_eq!((answer.status, answer.json["model"].as_str()), (200, Some("m")));
}

/// A template of the user's own, with variables of the server's and of the request's; with the built-in tokenizer a word is
/// a token.
#[tokio::test]
async fn a_chat_template_may_be_given() {
    let template = "{% for message in messages %}<{{ message.role }}> {{ message.content }} {{ extra }} {% endfor %}";
    let args = ["--model", "m", "--chat-template", template, "--default-chat-template-kwargs", r#"{"extra":"a b c"}"#];
    let server = Server::start(EXE, &args).await;
    let tokens =
        async |more: Value| server.post(CHAT, &Server::chat("hi", &more)).await.json["usage"]["prompt_tokens"].clone();
    let with_default = tokens(json!({})).await.as_u64().unwrap();
    let with_own = tokens(json!({ "chat_template_kwargs": { "extra": "a" } })).await.as_u64().unwrap();
    assert_eq!(with_default - with_own, 2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.jinja");
    std::fs::write(&file, template).unwrap();
    let from_file = Server::start(EXE, &["--model", "m", "--chat-template", file.to_str().unwrap()]).await;
    assert_eq!(from_file.post(CHAT, &Server::chat("hi", &json!({}))).await.status, 200);
    // Charts name files of vLLM's image.
    let missing =
        Server::start(EXE, &["--model", "m", "--chat-template", "/vllm-workspace/examples/tool_chat.jinja"]).await;
    assert_eq!(missing.post(CHAT, &Server::chat("hi", &json!({}))).await.status, 200);
    let broken = Server::refused(EXE, &["--model", "m", "--chat-template", "{% for %}"]).await;
    assert!(
        broken.code == Some(2) && broken.stderr.contains("chat-template: it is not understood"),
        "{}",
        broken.stderr
    );
}

#[tokio::test]
async fn prefixes_are_computed_anew_where_they_are_not_reused() {
    let cached = async |args: &str| {
        let server = serve(&format!("--enable-kvcache --zmq-endpoint= {args}")).await;
        let body = json!({ "prompt": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen" });
        server.post(COMPLETIONS, &body).await;
        let answer = server.post(COMPLETIONS, &body).await.json;
        let page = server.get("/metrics").await.text;
        (answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() > 0, page)
    };
    let (reused, page) = cached("").await;
    assert!(reused && page.contains("enable_prefix_caching=\"True\""), "{page}");
    let (reused, page) = cached("--no-enable-prefix-caching").await;
    assert!(!reused && page.contains("enable_prefix_caching=\"False\""), "{page}");
    assert!(
        page.lines().any(|line| line.starts_with("vllm:prefix_cache_queries_total") && line.ends_with(" 0")),
        "{page}"
    );
}
