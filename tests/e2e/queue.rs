//! Places, order and pace through sockets: exact times by a clock that is advanced by hand, else lower bounds only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rehearsal_tests::{Server, in_time};
use serde_json::json;

use crate::clock::{generated, queue_times, queued};
use crate::serve;

const CHAT: &str = "/v1/chat/completions";

/// For what is exact: requests tell how long they waited, on a clock that is advanced by hand.
const BY_HAND: &str = "--mode echo --clock manual --enable-per-request-metrics";

#[tokio::test]
async fn two_places_serve_six_requests_two_at_a_time_in_order() {
    let flags = "--max-num-seqs 2 --time-to-first-token 40 --inter-token-latency 20";
    let server = Arc::new(serve(&format!("{BY_HAND} {flags}")).await);
    // Rounds of 40 + 5 * 20 ms.
    assert_eq!(queue_times(&server, [(); 6].map(|()| json!({}))).await, [0.0, 0.0, 140.0, 140.0, 280.0, 280.0]);
}

#[tokio::test]
async fn an_answer_takes_ttft_and_a_gap_for_each_further_token() {
    let server = serve("--mode echo --time-to-first-token 50ms --inter-token-latency 25ms").await;
    let body = Server::chat("one two three four", &json!({}));
    let start = Instant::now();
    server.post(CHAT, &body).await;
    assert!(start.elapsed() >= Duration::from_millis(125));
    let times = server.stream(CHAT, &body).await.token_times();
    assert!(times[0] >= Duration::from_millis(50) && times[3] >= Duration::from_millis(125), "{times:?}");
}

#[tokio::test]
async fn the_status_of_a_stream_leaves_when_its_request_is_accepted() {
    let server = serve("--mode echo --max-num-seqs 1 --max-waiting-queue-length 1 --time-to-first-token 300s").await;
    let body = Server::chat("one", &json!({ "stream": true }));
    let status = || async {
        let sent = server.http.post(format!("{}{CHAT}", server.url)).json(&body).send();
        tokio::time::timeout(Duration::from_secs(100), sent).await.expect("it waits for no token").unwrap()
    };
    // One runs, one is queued, and for one there is no room.
    let (running, queued, refused) = (status().await, status().await, status().await);
    assert_eq!([&running, &queued, &refused].map(|answer| answer.status().as_u16()), [200, 200, 429]);
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_place() {
    let server = serve("--mode echo --max-num-seqs 1 --inter-token-latency 300s").await;
    for (streams, n_generated) in [(true, 1), (false, 2)] {
        let body = Server::chat("one two three", &json!({ "stream": streams }));
        let request = server.http.post(format!("{}{CHAT}", server.url)).json(&body).send();
        // A stream has begun, an answer in one piece has not, when the client leaves.
        let asked = tokio::spawn(request);
        generated(&server, n_generated).await;
        match asked.is_finished() {
            true => drop(asked.await.unwrap().unwrap()),
            false => asked.abort(),
        }
    }
    let next = Server::chat("one", &json!({}));
    let answer = in_time("the place is free", server.post(CHAT, &next)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn sigterm_ends_the_server_and_what_runs() {
    let server = serve("--mode echo --time-to-first-token 60s").await;
    let request = server.http.post(format!("{}{CHAT}", server.url)).json(&Server::chat("hi", &json!({}))).send();
    let request = tokio::spawn(request);
    queued(&server, 1).await;
    assert_eq!(server.terminate().await, Some(0));
    assert!(request.await.unwrap().is_err(), "the connection is closed");
}

#[tokio::test]
async fn with_a_shutdown_timeout_running_requests_end_by_themselves() {
    let server = serve("--mode echo --time-to-first-token 1s --shutdown-timeout 30").await;
    let request = server.http.post(format!("{}{CHAT}", server.url)).json(&Server::chat("hi", &json!({}))).send();
    let request = tokio::spawn(request);
    queued(&server, 1).await;
    assert_eq!(server.terminate().await, Some(0));
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn with_a_policy_of_priorities_the_lowest_comes_first() {
    for (policy, times) in [("fcfs", [0.0, 50.0, 100.0, 150.0]), ("priority", [0.0, 150.0, 50.0, 100.0])] {
        let flags = "--max-num-seqs 1 --time-to-first-token 50";
        let server = Arc::new(serve(&format!("{BY_HAND} {flags} --scheduling-policy {policy}")).await);
        let priorities = [0, 5, -1, 2].map(|priority| json!({ "priority": priority }));
        assert_eq!(queue_times(&server, priorities).await, times, "{policy}");
    }
}

/// The header weighs more than the body.
#[tokio::test]
async fn a_priority_may_come_in_a_header() {
    let server = Arc::new(
        serve(&format!("{BY_HAND} --max-num-seqs 1 --time-to-first-token 50 --scheduling-policy priority")).await,
    );
    let mut asked = Vec::new();
    for (arrived, header) in ["0", "5", "-1"].into_iter().enumerate() {
        let server_of_task = server.clone();
        asked.push(tokio::spawn(async move {
            let body = Server::chat("one", &json!({ "priority": 3 })).to_string();
            let headers = [("x-vllm-priority", header)];
            server_of_task.post_text(CHAT, "application/json", &body, &headers).await.json["metrics"]["queue_time_ms"]
                .clone()
        }));
        queued(&server, arrived + 1).await;
    }
    server.post("/admin/clock", &json!({ "until-idle": true })).await;
    let times = futures::future::join_all(asked).await.into_iter().map(Result::unwrap);
    assert_eq!(times.collect::<Vec<_>>(), [0.0, 100.0, 50.0]);
}
