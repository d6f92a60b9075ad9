//! A server whose time is advanced by hand, and one whose time passes faster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rehearsal_tests::{Server, until};
use serde_json::{Value, json};

use crate::determinism::without_created;
use crate::serve;

const CLOCK: &str = "/admin/clock";
const TEXT: &str = "/v1/completions";

const SLOW: &str = "--clock manual --time-to-first-token 30s --inter-token-latency 1s --max-waiting-queue-length 1000";

/// Lets time pass on a manual clock, as `body` says; what the server says of it.
pub(crate) async fn advance(server: &Server, body: &Value) -> Value {
    let answer = server.post(CLOCK, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

/// Until as many sequences, or more, have arrived.
pub(crate) async fn queued(server: &Server, n_sequences: usize) {
    reached(server, &["vllm:num_requests_running", "vllm:num_requests_waiting"], n_sequences).await;
}

/// Until as many tokens, or more, have been generated since the server started.
pub(crate) async fn generated(server: &Server, n_tokens: usize) {
    reached(server, &["vllm:generation_tokens_total"], n_tokens).await;
}

/// Until these metrics add up to as much, or more.
async fn reached(server: &Server, metrics: &[&str], sum: usize) {
    let is_counted = |line: &str| metrics.iter().any(|name| line.starts_with(&format!("{name}{{")));
    until(&format!("{metrics:?} reach {sum}"), async || {
        let page = server.get("/metrics").await.text;
        let counts = page.lines().filter(|line| is_counted(line)).filter_map(|line| line.rsplit_once(' '));
        (counts.map(|(_, count)| count.parse::<usize>().unwrap()).sum::<usize>() >= sum).then_some(())
    })
    .await;
}

/// Asks one after the other, a path and a body each, once the one before has arrived, and then lets time pass until all
/// have ended.
pub(crate) async fn ended<const N: usize>(server: &Arc<Server>, requests: [(&'static str, Value); N]) -> [String; N] {
    let mut asked = Vec::new();
    for (arrived, (path, body)) in requests.into_iter().enumerate() {
        let of_task = server.clone();
        asked.push(tokio::spawn(async move { of_task.post(path, &body).await.text }));
        queued(server, arrived + 1).await;
    }
    advance(server, &json!({ "until-idle": true })).await;
    let answers = futures::future::join_all(asked).await.into_iter().map(Result::unwrap);
    answers.collect::<Vec<_>>().try_into().unwrap()
}

/// As [`ended`], for chats of `extra` each: milliseconds in the queue, by a clock that is advanced by hand.
pub(crate) async fn queue_times<const N: usize>(server: &Arc<Server>, extra: [Value; N]) -> [f64; N] {
    let chats = extra.map(|extra| ("/v1/chat/completions", Server::chat("one two three four five six", &extra)));
    ended(server, chats).await.map(|answer| {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["metrics"]["queue_time_ms"].as_f64().unwrap_or_else(|| panic!("{answer}"))
    })
}

/// What 1,000 requests get that take ten hours together, and what is measured of them.
async fn hours() -> (Vec<String>, Vec<String>) {
    let flags = "--seed 3 --enable-kvcache --zmq-endpoint= --kv-cache-size 64 --max-num-seqs 20 --max-loras 2";
    let server = Arc::new(serve(&format!("{SLOW} {flags} --lora-modules a=/p b=/p c=/p")).await);
    let mut requests = Vec::new();
    for at in 0..1000_usize {
        let prompt: Vec<_> = (0..40).map(|token| 1000 * (at % 7) + token).collect();
        let model = ["m", "a", "m", "b", "c"][at % 5];
        let stream = at.is_multiple_of(2);
        let body = json!({ "model": model, "prompt": prompt, "max_tokens": 40, "seed": at, "stream": stream });
        let server_of_task = server.clone();
        requests.push(tokio::spawn(async move { server_of_task.post(TEXT, &body).await.text }));
        queued(&server, at + 1).await;
    }
    let clock = advance(&server, &json!({ "until-idle": true })).await;
    assert_eq!((&clock["next_deadline"], &clock["calls_in_flight"]), (&Value::Null, &json!(0)));
    assert!(clock["now"].as_f64().unwrap() > 1000.0, "{clock}");
    let answers = futures::future::join_all(requests).await.into_iter().map(Result::unwrap);
    let page = server.get("/metrics").await.text;
    // The process, its connections and its plugins have no part in the clock's time.
    let measured = page.lines().filter(|line| line.starts_with("vllm:"));
    (answers.map(|answer| without_created(&answer)).collect(), measured.map(str::to_owned).collect())
}

#[tokio::test]
async fn a_thousand_slow_requests_take_no_time_and_repeat_exactly() {
    let (answers, metrics) = hours().await;
    assert!(answers.iter().all(|answer| answer.contains("\"finish_reason\":\"")), "{answers:?}");
    let preemptions = metrics.iter().find(|line| line.starts_with("vllm:num_preemptions_total")).unwrap();
    assert!(!preemptions.ends_with(" 0"), "{preemptions}");
    assert_eq!(hours().await, (answers, metrics));
}

#[tokio::test]
async fn time_stands_still_until_it_is_advanced() {
    let server = Arc::new(serve(&format!("{SLOW} --mode echo")).await);
    let clock = server.get(CLOCK).await.json;
    let expected = json!({ "clock": "manual", "speedup_ratio": null, "now": 0.0, "unix_time": 1_767_225_600.0, "next_deadline": null, "calls_in_flight": 0 });
    assert_eq!(clock, expected);
    let asking = server.clone();
    let answer = tokio::spawn(async move { asking.post(TEXT, &json!({ "prompt": "one two" })).await.json });
    queued(&server, 1).await;
    let clock = advance(&server, &json!({ "advance": "30.5s" })).await;
    assert_eq!((&clock["now"], &clock["next_deadline"]), (&json!(30.5), &json!(31.0)));
    assert!(!answer.is_finished());
    let clock = advance(&server, &json!({ "advance": 500 })).await;
    assert_eq!((&clock["unix_time"], &clock["next_deadline"]), (&json!(1_767_225_631.0), &Value::Null));
    let answer = answer.await.unwrap();
    assert_eq!((&answer["choices"][0]["text"], &answer["created"]), (&json!("one two"), &json!(1_767_225_600)));
    assert_eq!(server.get("/v1/models").await.json["data"][0]["created"], 1_767_225_631);
}

#[tokio::test]
async fn a_clock_says_what_it_cannot_do() {
    let manual = serve("--clock manual").await;
    for body in
        [json!({}), json!({ "advance": "1s", "until-idle": true }), json!({ "until-idle": false }), json!({ "to": 1 })]
    {
        let answer = manual.post(CLOCK, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text.contains("until-idle"), "{}", answer.text);
    }
    let answer = manual.post(CLOCK, &json!({ "advance": "soon" })).await;
    assert_eq!((answer.status, &answer.json["error"]["param"]), (400, &json!("advance")), "{}", answer.text);
    let real = serve("").await;
    assert_eq!(real.get(CLOCK).await.json["clock"], "real");
    let answer = real.post(CLOCK, &json!({ "advance": "1s" })).await;
    assert!(answer.status == 400 && answer.text.contains("--clock manual"), "{}", answer.text);
}

#[tokio::test]
async fn scaled_time_passes_faster_and_changes_nothing_else() {
    let flags = "--mode echo --seed 1 --time-to-first-token 2s --inter-token-latency 500ms";
    let body = json!({ "prompt": "one two three", "request_id": "r" });
    let start = Instant::now();
    let scaled = serve(&format!("{flags} --speedup-ratio 100")).await.post(TEXT, &body).await;
    // Three seconds, and a start.
    assert!(start.elapsed() >= Duration::from_millis(30));
    let unscaled = serve("--mode echo --seed 1").await.post(TEXT, &body).await;
    assert_eq!(without_created(&scaled.text), without_created(&unscaled.text));
    let args = ["--model", "m", "--clock", "manual", "--speedup-ratio", "2"];
    let refusal = Server::refused(crate::EXE, &args).await;
    assert!(refusal.stderr.contains("speedup-ratio: ") && refusal.code == Some(2), "{}", refusal.stderr);
}
