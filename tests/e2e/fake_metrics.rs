//! Metrics that are made up: they alone are told, at the start and as they are changed.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::metrics::value;
use crate::{EXE, serve};

async fn faking(metrics: &Value, more: &[&str]) -> Server {
    let metrics = metrics.to_string();
    Server::start(EXE, &[&["--model", "m", "--fake-metrics", &metrics], more].concat()).await
}

async fn row(server: &Server, row: &str) -> f64 {
    value(&server.get("/metrics").await.text, row)
}

fn of_engine(name: &str) -> String {
    format!(r#"vllm:{name}{{engine="0",model_name="m"}}"#)
}

#[tokio::test]
async fn what_is_made_up_is_told_and_nothing_that_is_measured() {
    let server = faking(
        &json!({
            "running-requests": 7,
            "waiting-requests": 3,
            "kv-cache-usage": 0.25,
            "loras": [{ "running": "a,b", "waiting": "c", "timestamp": 5.5 }, "{\"running\":\"d\",\"timestamp\":6}"],
            "ttft-buckets-values": [1, 2],
            "request-generation-tokens": [0, 4],
            "request-success-total": { "stop": 6, "tool_calls": 2 },
            "prefix-cache-hits": 10,
            "prefix-cache-queries": 20,
        }),
        &[],
    )
    .await;
    server.post("/v1/completions", &json!({ "prompt": "one two", "max_tokens": 2 })).await;
    for (name, expected) in [
        ("num_requests_running", 7.0),
        ("num_requests_waiting", 3.0),
        ("kv_cache_usage_perc", 0.25),
        ("gpu_cache_usage_perc", 0.25),
        ("time_to_first_token_seconds_count", 3.0),
        ("time_to_first_token_seconds_sum", 0.001 + 2.0 * 0.005),
        ("request_generation_tokens_sum", 8.0),
        ("generation_tokens_total", 8.0),
        ("prefix_cache_hits_total", 10.0),
        ("prefix_cache_queries_total", 20.0),
        // A request was answered, and nothing tells of it.
        ("prompt_tokens_total", 0.0),
        ("e2e_request_latency_seconds_count", 0.0),
        ("request_prompt_tokens_count", 0.0),
        ("iteration_tokens_total_count", 0.0),
    ] {
        assert_eq!(row(&server, &of_engine(name)).await, expected, "{name}");
    }
    for (reason, expected) in [("stop", 6.0), ("length", 0.0), ("tool_calls", 2.0)] {
        let labels = format!(r#"{{engine="0",finished_reason="{reason}",model_name="m"}}"#);
        assert_eq!(row(&server, &format!("vllm:request_success_total{labels}")).await, expected, "{reason}");
    }
    let bucket =
        |le: &str| format!(r#"vllm:time_to_first_token_seconds_bucket{{engine="0",model_name="m",le="{le}"}}"#);
    assert_eq!((row(&server, &bucket("0.001")).await, row(&server, &bucket("+Inf")).await), (1.0, 3.0));
    let lora = |running: &str, waiting: &str| {
        let lists = format!(r#"running_lora_adapters="{running}",waiting_lora_adapters="{waiting}""#);
        format!(r#"vllm:lora_requests_info{{max_lora="1",{lists}}}"#)
    };
    assert_eq!((row(&server, &lora("a,b", "c")).await, row(&server, &lora("d", "")).await), (5.5, 6.0));
}

#[tokio::test]
async fn functions_go_on_with_the_engines_time() {
    let functions = json!({ "running-requests": "ramp:0:100:10s", "kv-cache-usage": "squarewave:0.2:0.8:4s" });
    let server = faking(&functions, &["--clock", "manual", "--fake-metrics-refresh-interval", "1s"]).await;
    for (advance, running, usage) in [("0s", 0.0, 0.2), ("1500ms", 10.0, 0.2), ("1s", 20.0, 0.8), ("1m", 100.0, 0.8)] {
        server.post("/admin/clock", &json!({ "advance": advance })).await;
        let told = [
            row(&server, &of_engine("num_requests_running")).await,
            row(&server, &of_engine("kv_cache_usage_perc")).await,
        ];
        assert_eq!(told, [running, usage], "{advance}");
    }
}

#[tokio::test]
async fn they_can_be_set_changed_and_dropped_while_the_server_runs() {
    let server = serve("--mode echo").await;
    server.post("/v1/completions", &json!({ "prompt": "one two" })).await;
    let (running, generated) = (of_engine("num_requests_running"), of_engine("generation_tokens_total"));
    assert_eq!(row(&server, &generated).await, 2.0);
    for (change, expected) in [
        (json!({ "running-requests": 5 }), [5.0, 0.0]),
        (json!({ "total-generation-tokens": 9, "running-requests": null }), [5.0, 9.0]),
        (json!({ "running-requests": 6 }), [6.0, 9.0]),
    ] {
        let answer = server.post("/fake_metrics", &change).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{change}");
        assert_eq!([row(&server, &running).await, row(&server, &generated).await], expected, "{change}");
    }
    let refused = server.post("/fake_metrics", &json!({ "running-requests": -1, "kv-cache-usage": 2 })).await;
    let message = refused.json["error"]["message"].as_str().unwrap();
    assert!(refused.status == 400 && message.contains("running-requests: -1") && message.contains("kv-cache-usage: 2"));
    assert_eq!(row(&server, &running).await, 6.0, "nothing of a wrong change is taken");
    let url = format!("{}/fake_metrics", server.url);
    assert_eq!(server.http.delete(url).send().await.unwrap().status(), 204);
    assert_eq!([row(&server, &running).await, row(&server, &generated).await], [0.0, 2.0]);
}

#[tokio::test]
async fn a_function_begins_when_it_is_set() {
    let server = faking(&json!({ "running-requests": "ramp:0:100:100s" }), &["--clock", "manual"]).await;
    server.post("/admin/clock", &json!({ "advance": "50s" })).await;
    server.post("/fake_metrics", &json!({ "waiting-requests": "ramp:0:100:100s" })).await;
    server.post("/admin/clock", &json!({ "advance": "10s" })).await;
    let told = [
        row(&server, &of_engine("num_requests_running")).await,
        row(&server, &of_engine("num_requests_waiting")).await,
    ];
    assert_eq!(told, [60.0, 10.0]);
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_and_what_is_given_is_always_told() {
    let server = faking(&json!({ "running-requests": 5 }), &["--disable-log-stats"]).await;
    assert_eq!(row(&server, &of_engine("num_requests_running")).await, 5.0);
    for wrong in [
        json!({ "ttft-buckets-values": [u64::MAX, 1] }),
        json!({ "request-prompt-tokens": [u64::MAX, u64::MAX] }),
        json!({ "running-requests": "ramp:0:inf:1m" }),
        json!({ "kv-cache-usage": "ramp:0:NaN:1m" }),
        json!({ "kv-cache-usage": "ramp:0:1:0s" }),
    ] {
        assert_eq!(server.post("/fake_metrics", &wrong).await.status, 400, "{wrong}");
    }
    let most = json!({ "request-prompt-tokens": [0, 0, 0, 0, 0, u64::MAX], "running-requests": 1e300 });
    assert_eq!(server.post("/fake_metrics", &most).await.status, 204);
    assert_eq!(row(&server, &of_engine("request_prompt_tokens_count")).await, u64::MAX as f64);
}

#[tokio::test]
async fn all_that_is_wrong_stops_the_start() {
    let metrics =
        json!({ "running-requests": -1, "runing-requests": 1, "ttft-buckets-values": vec![0; 24] }).to_string();
    let refusal = Server::refused(EXE, &["--model", "m", "--fake-metrics", &metrics]).await;
    assert_eq!(refusal.code, Some(2));
    for problem in ["running-requests: -1 is not", "did you mean \"running-requests\"?", "ttft-buckets-values"] {
        assert!(refusal.stderr.contains(problem), "{problem}: {}", refusal.stderr);
    }
}

#[tokio::test]
async fn who_may_change_nothing_finds_nothing() {
    let closed = serve("--no-admin").await;
    assert_eq!(closed.post("/fake_metrics", &json!({})).await.status, 404);
    assert_eq!(closed.get("/admin/clock").await.status, 404);
    let document = closed.get("/openapi.json").await.json;
    assert!(document["paths"].as_object().unwrap().keys().all(|path| !path.starts_with("/admin")));
    let guarded = serve("--api-key secret").await;
    assert_eq!(guarded.post("/fake_metrics", &json!({})).await.status, 401);
    assert_eq!(guarded.get("/metrics").await.status, 200);
}
