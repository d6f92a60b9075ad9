//! Places, order and pace through sockets: lower bounds and order only, exact times are the engine's tests'.

use std::time::{Duration, Instant};

use rehearsal_tests::Server;
use serde_json::json;

use crate::serve;

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn two_places_serve_six_streams_two_at_a_time_in_order() {
    let server = serve("--mode echo --max-num-seqs 2 --time-to-first-token 40 --inter-token-latency 20").await;
    let start = Instant::now();
    let streams = (0..6).map(|index| {
        let server = &server;
        async move {
            // Apart enough to arrive in order.
            tokio::time::sleep(Duration::from_millis(4 * index)).await;
            let sent = start.elapsed();
            let stream = server.stream(CHAT, &Server::chat("one two three four five six", &json!({}))).await;
            let times = stream.token_times();
            assert_eq!(times.len(), 6);
            (sent + times[0], sent + times[5])
        }
    });
    let runs = futures::future::join_all(streams).await;
    for (index, (first, _)) in runs.iter().enumerate() {
        // A run begins its prefill 40 ms before its first token; so many others are still sending then.
        let running = runs.iter().filter(|(_, last)| *last > *first).filter(|(other, _)| other <= first).count();
        assert!(running <= 2, "{running} run when stream {index} starts: {runs:?}");
    }
    // Those of one round start together, to the timer's millisecond; which of them is read first is not ours to say.
    let slack = Duration::from_millis(10);
    assert!(runs.is_sorted_by(|one, next| one.0 <= next.0 + slack), "{runs:?}");
    // Three rounds of 40 + 5 * 20 ms.
    assert!(runs[5].1 >= Duration::from_millis(3 * 140 - 1), "{runs:?}");
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
    let server = serve("--mode echo --max-num-seqs 1 --inter-token-latency 10s").await;
    let body = Server::chat("one two three", &json!({ "stream": true }));
    for streams in [true, false] {
        let mut body = body.clone();
        body["stream"] = streams.into();
        let request = server.http.post(format!("{}{CHAT}", server.url)).json(&body).send();
        // A stream has begun, an answer in one piece has not, when the client leaves.
        let _ = tokio::time::timeout(Duration::from_millis(300), request).await;
    }
    let next = Server::chat("one", &json!({}));
    let answer = tokio::time::timeout(Duration::from_secs(5), server.post(CHAT, &next)).await;
    assert_eq!(answer.expect("the place is free").status, 200);
}

#[tokio::test]
async fn sigterm_ends_the_server_and_what_runs() {
    let server = serve("--mode echo --time-to-first-token 60s").await;
    let request = server.http.post(format!("{}{CHAT}", server.url)).json(&Server::chat("hi", &json!({}))).send();
    let request = tokio::spawn(request);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.terminate().await, Some(0));
    assert!(request.await.unwrap().is_err(), "the connection is closed");
}

#[tokio::test]
async fn with_a_shutdown_timeout_running_requests_end_by_themselves() {
    let server = serve("--mode echo --time-to-first-token 1s --shutdown-timeout 30").await;
    let request = server.http.post(format!("{}{CHAT}", server.url)).json(&Server::chat("hi", &json!({}))).send();
    let request = tokio::spawn(request);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.terminate().await, Some(0));
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn with_a_policy_of_priorities_the_lowest_comes_first() {
    for (policy, order) in [("fcfs", [0, 1, 2, 3]), ("priority", [0, 3, 2, 1])] {
        let args = format!("--mode echo --max-num-seqs 1 --time-to-first-token 50 --scheduling-policy {policy}");
        let server = serve(&args).await;
        let start = Instant::now();
        let answers = [(0, 0, ""), (1, 5, ""), (2, 0, ""), (3, 5, "-1")].map(|(index, priority, header)| {
            let server = &server;
            async move {
                // Apart enough to arrive in order.
                tokio::time::sleep(Duration::from_millis(10 * index)).await;
                let body = Server::chat("one", &json!({ "priority": priority })).to_string();
                server.post_text(CHAT, "application/json", &body, &[("x-vllm-priority", header)]).await;
                (start.elapsed(), index)
            }
        });
        let mut ends = futures::future::join_all(answers).await;
        ends.sort();
        assert_eq!(ends.iter().map(|(_, index)| *index).collect::<Vec<_>>(), order, "{policy}: {ends:?}");
    }
}
