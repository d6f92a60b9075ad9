//! What clients, routers and operators see of the simulated KV cache. Its events are read by tests in Python.

use std::time::Duration;

use rehearsal_tests::{Server, in_time, until};
use serde_json::{Value, json};
use zeromq::{Socket, SocketRecv, SubSocket};

use crate::{EXE, serve};

const COMPLETIONS: &str = "/v1/completions";

fn tokens(range: std::ops::Range<u32>) -> Value {
    json!({ "prompt": range.collect::<Vec<_>>(), "max_tokens": 1 })
}

async fn rows(server: &Server, name: &str) -> Vec<String> {
    let page = server.get("/metrics").await.text;
    page.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

#[tokio::test]
async fn usage_tells_how_much_of_a_prompt_was_cached() {
    let server = serve("--enable-kvcache --zmq-endpoint=").await;
    for cached in [0, 32] {
        let answer = server.post(COMPLETIONS, &tokens(0..40)).await;
        let expected = json!({ "cached_tokens": cached, "created_cache_tokens": null, "multimodal_tokens": null });
        assert_eq!(answer.json["usage"]["prompt_tokens_details"], expected);
    }
    let mut body = tokens(0..40);
    body["stream"] = true.into();
    body["stream_options"] = json!({ "include_usage": true });
    let chunks = server.stream(COMPLETIONS, &body).await.chunks();
    let expected = json!({ "cached_tokens": 32 });
    assert_eq!(chunks.last().unwrap()["usage"]["prompt_tokens_details"], expected);
    // Each prompt counts once, however many choices it has.
    let both =
        json!({ "prompt": [(0..40).collect::<Vec<_>>(), (500..540).collect::<Vec<_>>()], "n": 2, "temperature": 1 });
    let usage = server.post(COMPLETIONS, &both).await.json["usage"].clone();
    assert_eq!((&usage["prompt_tokens"], &usage["prompt_tokens_details"]["cached_tokens"]), (&json!(80), &json!(32)));
    assert_eq!(rows(&server, "vllm:prefix_cache_hits_total").await.len(), 1);

    let chat = Server::chat("hello", &json!({}));
    for (flags, expected) in [("", Value::Null), ("--enable-prompt-tokens-details", json!(0))] {
        let answer = serve(flags).await.post("/v1/chat/completions", &chat).await;
        assert_eq!(answer.json["usage"]["prompt_tokens_details"]["cached_tokens"], expected, "{flags:?}");
    }
}

#[tokio::test]
async fn a_prompt_that_can_never_fit_is_refused_and_one_that_just_fits_is_answered() {
    let server = serve("--enable-kvcache --zmq-endpoint= --kv-cache-size 2").await;
    let answer = server.post(COMPLETIONS, &tokens(0..33)).await;
    assert_eq!((answer.status, &answer.json["error"]["param"]), (400, &json!("input_tokens")), "{}", answer.text);
    let message = answer.json["error"]["message"].as_str().unwrap();
    assert!(message.contains("room for 32 tokens (2 blocks of 16)") && message.contains("33"), "{message}");
    let mut body = tokens(0..32);
    body["max_tokens"] = 9.into();
    let answer = server.post(COMPLETIONS, &body).await;
    assert_eq!(answer.json["usage"]["completion_tokens"], 1, "the last token needs no place");
    let none = serve("--enable-kvcache --zmq-endpoint= --kv-cache-size 0").await;
    assert_eq!(none.post(COMPLETIONS, &tokens(0..1)).await.status, 400);
}

#[tokio::test]
async fn routers_find_what_they_scrape() {
    let server = serve("--enable-kvcache --zmq-endpoint= --kv-cache-size 77 --block-size 32 --max-loras 3").await;
    let info = rows(&server, "vllm:cache_config_info").await.remove(0);
    assert!(info.contains(r#"block_size="32""#) && info.contains(r#"num_gpu_blocks="77""#), "{info}");
    let labels = r#"{engine="0",model_name="m"}"#;
    for name in ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "num_preemptions_total"] {
        assert_eq!(rows(&server, &format!("vllm:{name}{{")).await, [format!("vllm:{name}{labels} 0")]);
    }
    let adapters = rows(&server, "vllm:lora_requests_info").await.remove(0);
    let labels = r#"{max_lora="3",running_lora_adapters="",waiting_lora_adapters=""}"#;
    assert!(adapters.contains(labels), "{adapters}");
}

#[tokio::test]
async fn adapters_that_run_and_wait_are_told_apart() {
    let server = serve("--lora-modules a=/p b=/p --time-to-first-token 30s").await;
    let ask = |model: &str| {
        let body = json!({ "model": model, "prompt": "hi" });
        tokio::spawn(server.http.post(format!("{}{COMPLETIONS}", server.url)).json(&body).send())
    };
    let running = ask("a");
    let expected = |waiting: &str| format!(r#"running_lora_adapters="a",waiting_lora_adapters="{waiting}""#);
    let told = async |waiting: &str| {
        let expected = expected(waiting);
        until(&expected, async || rows(&server, "vllm:lora_requests_info").await[0].contains(&expected).then_some(()))
            .await;
    };
    told("").await;
    let waiting = ask("b");
    told("b").await;
    running.abort();
    waiting.abort();
}

#[tokio::test]
async fn the_cache_is_reset_only_for_developers_and_only_while_nothing_holds_it() {
    let flags = ["--model", "m", "--enable-kvcache", "--zmq-endpoint", "", "--inter-token-latency", "1s"];
    assert_eq!(Server::start(EXE, &flags).await.post("/reset_prefix_cache", &json!({})).await.status, 404);
    let server = Server::start_with_env(EXE, &flags, &[("VLLM_SERVER_DEV_MODE", "1")]).await;
    let reset = |query: &'static str| {
        let server = &server;
        async move { server.post(&format!("/reset_prefix_cache{query}"), &json!({})).await.json["success"].clone() }
    };
    assert_eq!(reset("").await, true);
    let body = json!({ "prompt": "hi", "max_tokens": 50, "ignore_eos": true, "stream": true });
    let stream = server.http.post(format!("{}{COMPLETIONS}", server.url)).json(&body).send().await.unwrap();
    assert_eq!(reset("").await, false);
    assert_eq!(reset("?reset_running_requests=1&reset_external=false").await, true);
    assert_eq!(server.post("/reset_prefix_cache?reset_running_requests=maybe", &json!({})).await.status, 400);
    drop(stream);
}

#[tokio::test]
async fn events_that_cannot_be_sent_stop_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (flags, expected) in [
        ("--zmq-endpoint inproc://x", "stays inside one process".to_owned()),
        ("--zmq-endpoint udp://x:1", "is no address that is served".to_owned()),
        ("--zmq-max-connect-attempts 11", "11 is not between 0 and 10".to_owned()),
        ("--block-size 17", "17 is none of 8, 16, 32, 64 and 128".to_owned()),
        ("--event-batch-size 0", "\"0\" is not a whole number from 1".to_owned()),
        ("--prefix-caching-hash-algo md5", "no hash algorithm".to_owned()),
        ("--kv-events-config {\"publisher\":\"kafka\"}", "neither zmq nor null".to_owned()),
        (&format!("--zmq-endpoint tcp://[::]:{port}"), format!("cannot listen on tcp://[::]:{port}")),
        // Nothing listens on port 1.
        (
            "--zmq-endpoint tcp://127.0.0.1:1 --zmq-max-connect-attempts 2",
            "cannot connect to tcp://127.0.0.1:1 in 2 attempts".to_owned(),
        ),
    ] {
        let args: Vec<_> = "--model m --enable-kvcache".split(' ').chain(flags.split(' ')).collect();
        let refusal = Server::refused(EXE, &args).await;
        assert_eq!(refusal.code, Some(2), "{flags}");
        assert!(refusal.stderr.contains(&expected), "{flags}: {}", refusal.stderr);
    }
}

#[tokio::test]
async fn a_tokenizer_that_was_named_must_be_there_and_one_that_follows_from_the_model_need_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    std::fs::write(format!("{folder}/tokenizer.json"), "{}").unwrap();
    for (named, expected) in [
        ("/no/such/folder", "there is no /no/such/folder"),
        ("some/model", "some/model is not in "),
        (folder, "is not a tokenizer"),
    ] {
        let refusal = Server::refused(EXE, &["--model", "m", "--tokenizer", named]).await;
        assert_eq!(refusal.code, Some(2), "{named}");
        assert!(refusal.stderr.contains(expected), "{named}: {}", refusal.stderr);
    }
    let server = Server::start(EXE, &["--model", "some/model", "--tokenizers-cache-dir", folder]).await;
    assert_eq!(server.post("/tokenize", &json!({ "prompt": "two words" })).await.json["count"], 2);
}

/// Names come again; what another adapter of the same name computed is of no use.
#[tokio::test]
async fn an_adapter_finds_no_block_of_an_earlier_one_of_its_name() {
    let prompt = (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    for algorithm in ["sha256_cbor_64bit", "sha256", "cbor-fnv"] {
        let args =
            format!("--enable-kvcache --zmq-endpoint= --prefix-caching-hash-algo {algorithm} --lora-modules a=/p");
        let server = serve(&args).await;
        let cached = async || {
            let body = json!({ "model": "a", "prompt": prompt, "max_tokens": 1 });
            let answer = server.post("/v1/completions", &body).await.json;
            answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() > 0
        };
        let load = async |path: &str| {
            let body = json!({ "lora_name": "a", "lora_path": path, "load_inplace": true });
            assert_eq!(server.post("/v1/load_lora_adapter", &body).await.status, 200);
        };
        assert_eq!((cached().await, cached().await), (false, true), "{algorithm}");
        load("/q").await;
        assert_eq!((cached().await, cached().await), (false, true), "{algorithm}: from another path");
        assert_eq!(server.post("/v1/unload_lora_adapter", &json!({ "lora_name": "a" })).await.status, 200);
        load("/q").await;
        assert_eq!((cached().await, cached().await), (false, true), "{algorithm}: loaded again");
    }
}

/// The crate's own subscriber, on either side that connects.
#[tokio::test]
async fn a_subscriber_in_rust_hears_of_blocks() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (ours, theirs, binds) in [("tcp://*", "tcp://127.0.0.1", false), ("tcp://127.0.0.1", "tcp://127.0.0.1", true)] {
        let mut subscriber = SubSocket::new();
        subscriber.subscribe("kv@").await.unwrap();
        if binds {
            subscriber.bind(&format!("{theirs}:{port}")).await.unwrap();
        }
        let server = serve(&format!("--enable-kvcache --event-batch-size 1 --zmq-endpoint {ours}:{port}")).await;
        if !binds {
            subscriber.connect(&format!("{theirs}:{port}")).await.unwrap();
        }
        let heard = in_time("it hears of a block", subscriber.recv());
        let asks = async {
            // A subscription takes a moment to arrive.
            for at in 0.. {
                server.post(COMPLETIONS, &tokens(at * 100..at * 100 + 20)).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let message = tokio::select! {
            message = heard => message.unwrap(),
            () = asks => unreachable!(),
        };
        assert_eq!(message.len(), 3);
        assert!(message.get(0).unwrap().starts_with(b"kv@127.0.0.1:"), "{message:?}");
        assert_eq!(server.terminate().await, Some(0));
    }
}
