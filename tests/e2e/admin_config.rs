//! `GET` and `POST /admin/config`: what is in force, and changes of it that take effect at once, or not at all.

use rehearsal_tests::{Server, in_time};
use serde_json::{Value, json};

use crate::clock::advance;
use crate::serve;

const CONFIG: &str = "/admin/config";

/// Seconds that a request takes by a clock that is advanced by hand.
async fn took(server: &Server) -> f64 {
    let before = advance(server, &json!({ "until-idle": true })).await["now"].as_f64().unwrap();
    let body = json!({ "prompt": "one two" });
    let passing = async {
        loop {
            advance(server, &json!({ "until-idle": true })).await;
        }
    };
    tokio::select! {
        answer = in_time("it is answered", server.post("/v1/completions", &body)) => assert_eq!(answer.status, 200),
        () = passing => unreachable!(),
    }
    server.get("/admin/clock").await.json["now"].as_f64().unwrap() - before
}

#[tokio::test]
async fn all_keys_are_shown_and_no_secret() {
    let server = serve("--mode echo --time-to-first-token 5ms --api-key secret").await;
    let request = server.http.get(format!("{}{CONFIG}", server.url)).bearer_auth("secret");
    let shown: Value = request.send().await.unwrap().json().await.unwrap();
    let expected = json!(["m", "5ms", "0", "***", null]);
    let keys = ["model", "time-to-first-token", "inter-token-latency", "api-key", "fake-metrics"];
    assert_eq!(json!(keys.map(|key| &shown[key])), expected);
    assert_eq!(server.get(CONFIG).await.status, 401);
}

#[tokio::test]
async fn latencies_change_at_once() {
    let server = serve("--mode echo --clock manual").await;
    assert_eq!(took(&server).await, 0.0);
    let change = json!({ "time-to-first-token": 1500, "inter-token-latency": "500ms" });
    let answer = server.post(CONFIG, &change).await;
    assert_eq!((answer.status, &answer.json["time-to-first-token"]), (200, &json!(1500)), "{}", answer.text);
    assert_eq!(took(&server).await, 2.0);
    // Null takes back what was said.
    let answer = server.post(CONFIG, &json!({ "time-to-first-token": null, "inter-token-latency": null })).await;
    assert_eq!(answer.json["time-to-first-token"], "0");
    assert_eq!(took(&server).await, 0.0);
}

#[tokio::test]
async fn what_is_wrong_changes_nothing_and_is_told_whole() {
    let server = serve("--mode echo --clock manual --inter-token-latency 500ms").await;
    let change = json!({
        "time-to-first-token": "2s",
        "inter-token-latency-std-dev": "450ms",
        "max-num-seqs": 7,
        "time-to-frist-token": 1,
        "fake-metrics": { "running-requests": -1 },
    });
    let answer = server.post(CONFIG, &change).await;
    assert_eq!(answer.status, 400);
    let message = answer.json["error"]["message"].as_str().unwrap();
    for problem in [
        "max-num-seqs: cannot be changed while the server runs",
        "did you mean \"time-to-first-token\"?",
        "inter-token-latency-std-dev: 450ms is more than 30 %",
        "fake-metrics: running-requests: -1 is not",
        "(from a change while it runs)",
    ] {
        assert!(message.contains(problem), "{problem}: {message}");
    }
    assert_eq!(server.get(CONFIG).await.json["time-to-first-token"], "0");
    assert_eq!(took(&server).await, 0.5);
}

#[tokio::test]
async fn fake_metrics_are_part_of_it_wherever_they_are_changed() {
    let server = serve("").await;
    server.post(CONFIG, &json!({ "fake-metrics": { "running-requests": 3 } })).await;
    server.post("/fake_metrics", &json!({ "waiting-requests": 2 })).await;
    let shown = server.get(CONFIG).await.json["fake-metrics"].clone();
    assert_eq!(shown, json!({ "running-requests": 3, "waiting-requests": 2 }));
    let page = server.get("/metrics").await.text;
    assert!(page.contains("vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 3\n"));
    // The whole of it is replaced here.
    server.post(CONFIG, &json!({ "fake-metrics": { "waiting-requests": 1 } })).await;
    let page = server.get("/metrics").await.text;
    assert!(page.contains("vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 0\n"));
}

#[tokio::test]
async fn what_plugins_are_told_changes_too_or_nothing_does() {
    let server = serve("--mode echo").await;
    let ask = async || server.post("/v1/completions", &json!({ "prompt": "hi" })).await.status;
    assert_eq!(ask().await, 200);
    let change = json!({ "failure-injection-rate": 100, "failure-types": ["rate_limit"], "time-to-first-token": 1 });
    assert_eq!(server.post(CONFIG, &change).await.status, 200);
    assert_eq!(ask().await, 429);
    let wrong = json!({ "failure-injection-rate": 101, "time-to-first-token": "1h" });
    let answer = server.post(CONFIG, &wrong).await;
    let message = answer.json["error"]["message"].as_str().unwrap_or_default();
    assert!(answer.status == 400 && message.contains("failure"), "{}", answer.text);
    let shown = server.get(CONFIG).await.json;
    assert_eq!((&shown["failure-injection-rate"], &shown["time-to-first-token"]), (&json!(100), &json!(1)));
    assert_eq!(server.post(CONFIG, &json!({ "failure-injection-rate": 0 })).await.status, 200);
    assert_eq!(ask().await, 200);
}

#[tokio::test]
async fn what_was_shown_can_be_sent_back() {
    let server = serve("--mode echo --max-num-seqs 7 --time-to-first-token 1ms").await;
    let shown = server.get(CONFIG).await.json;
    let answer = server.post(CONFIG, &shown).await;
    assert_eq!((answer.status, answer.json == shown), (200, true), "{}", answer.text);
}

#[tokio::test]
async fn a_rank_changes_what_it_is_told_to_and_nothing_of_another() {
    let args = ["--model", "m", "--mode", "echo", "--data-parallel-size", "2"];
    let ranks = Server::start_ranks(crate::EXE, &args, &[], 2).await;
    let ask = async |rank: usize| ranks[rank].post("/v1/completions", &json!({ "prompt": "hi" })).await.status;
    ranks[0].post(CONFIG, &json!({ "failure-injection-rate": 100 })).await;
    assert_ne!(ask(0).await, 200);
    assert_eq!(ranks[1].post(CONFIG, &json!({ "time-to-first-token": "1ms" })).await.status, 200);
    assert_ne!(ask(0).await, 200);
    assert_eq!(ask(1).await, 200);
}
