//! Clients that send too much, too slowly or not to the end, and clients that do not read.

use std::time::{Duration, Instant};

use rehearsal_tests::{Server, in_time, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::metrics::told;
use crate::{EXE, serve};

const COMPLETIONS: &str = "/v1/completions";

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// What comes until the server closes the connection.
async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // One that has not read all that we sent resets it.
    let _ = in_time("it is closed", stream.read_to_end(&mut text)).await;
    String::from_utf8(text).unwrap()
}

/// The count in this row of the server's page.
pub(crate) async fn metric(server: &Server, row: &str) -> u64 {
    told(&server.get("/metrics").await.text, row).parse().unwrap()
}

async fn eventually(server: &Server, row: &str, value: u64) {
    until(&format!("{row} is {value}"), async || (metric(server, row).await == value).then_some(())).await;
}

const HEAD: &str = "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_body_that_is_too_large_is_a_413_in_the_shape_of_its_api() {
    let server = serve("--max-body-size 2KiB").await;
    let large = json!({ "model": "m", "max_tokens": 1, "prompt": "x".repeat(3000), "messages": [] });
    let message = "the request's body is larger than 2048 bytes, the most that --max-body-size lets it have";
    let answer = server.post(COMPLETIONS, &large).await;
    let error = json!({ "message": message, "type": "BadRequestError", "param": null, "code": 413 });
    assert_eq!((answer.status, &answer.json["error"]), (413, &error));
    let answer = server.post("/v1/messages", &large).await;
    assert_eq!((answer.status, &answer.json["type"]), (413, &json!("error")));
    assert_eq!(answer.json["error"], json!({ "type": "request_too_large", "message": message }));
    // One that does not say how long it is is read as far as it may go.
    let mut stream = connect(&server).await;
    stream.write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    stream.write_all(format!("bb8\r\n{}\r\n", "x".repeat(3000)).as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 413");
    assert_eq!(server.post(COMPLETIONS, &json!({ "prompt": "hi", "max_tokens": 1 })).await.status, 200);
    for (flags, status) in [("--max-request-body-size-mb 1", 413), ("--max-body-size 0", 400)] {
        let server = serve(flags).await;
        let body = json!({ "prompt": "x ".repeat(1 << 20), "max_tokens": 1 });
        assert_eq!(server.post(COMPLETIONS, &body).await.status, status, "{flags}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_http_is_a_400_in_json() {
    let server = serve("").await;
    let mut stream = connect(&server).await;
    stream.write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\nxyz\r\n").as_bytes()).await.unwrap();
    let text = to_the_end(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert!(body["error"]["message"].as_str().unwrap().starts_with("the request's body cannot be read: "), "{body}");
}

#[tokio::test]
async fn headers_must_come_in_time_however_they_trickle() {
    let server = serve("--header-timeout 500ms").await;
    let mut stream = connect(&server).await;
    let (mut reading, mut writing) = stream.split();
    let trickle = async {
        for byte in HEAD.as_bytes() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut nothing = Vec::new();
    tokio::select! {
        _ = in_time("it is closed", reading.read_to_end(&mut nothing)) => {}
        () = trickle => {}
    }
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn a_body_that_pauses_for_too_long_is_a_408() {
    let server = serve("--body-timeout 300ms").await;
    let mut stream = connect(&server).await;
    stream.write_all(format!("{HEAD}content-length: 100\r\n\r\n{{\"prompt\": ").as_bytes()).await.unwrap();
    let text = to_the_end(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n") && text.contains("--body-timeout"), "{text}");
    assert_eq!(metric(&server, "rehearsal_body_timeouts_total").await, 1);
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_after_vllms_time() {
    let server = Server::start_with_env(EXE, &["--model", "m"], &[("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "4")]).await;
    let mut stream = connect(&server).await;
    let began = Instant::now();
    // Silent before its first request for longer than that.
    tokio::time::sleep(Duration::from_millis(4500)).await;
    for _ in 0..2 {
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        let n = stream.read(&mut answer).await.unwrap();
        assert!(answer[..n].starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(to_the_end(&mut stream).await, "");
    // And not when headers would be late.
    assert!(began.elapsed() >= Duration::from_millis(8400), "{:?}", began.elapsed());
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_at_once() {
    let server = serve("--max-connections 2").await;
    // The harness has one.
    server.get("/ping").await;
    let second = connect(&server).await;
    eventually(&server, "rehearsal_open_connections", 2).await;
    assert_eq!(to_the_end(&mut connect(&server).await).await, "");
    assert_eq!(metric(&server, "rehearsal_refused_connections_total").await, 1);
    drop(second);
    eventually(&server, "rehearsal_open_connections", 1).await;
    let mut third = connect(&server).await;
    third.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(to_the_end(&mut third).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn half_of_a_request_does_not_hold_the_end_up() {
    let server = serve("--shutdown-timeout 600 --header-timeout 600s --body-timeout 600s").await;
    let mut halves = Vec::new();
    for half in [HEAD.to_owned(), format!("{HEAD}content-length: 100\r\n\r\n{{"), String::new()] {
        let mut stream = connect(&server).await;
        stream.write_all(half.as_bytes()).await.unwrap();
        halves.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(in_time("it ends", server.terminate()).await, Some(0));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_counted_and_its_place_freed() {
    let server = serve("--send-timeout 1s --max-num-seqs 1 --max-model-len 2000000 --seed 1").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.url.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    // More than waits in any buffer of the system.
    let body = json!({ "prompt": "hi", "max_tokens": 200_000, "ignore_eos": true, "stream": true }).to_string();
    stream.write_all(format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    eventually(&server, "rehearsal_open_streams", 1).await;
    eventually(&server, "rehearsal_send_timeouts_total", 1).await;
    eventually(&server, "rehearsal_open_streams", 0).await;
    let row = r#"vllm:num_requests_running{engine="0",model_name="m"}"#;
    eventually(&server, row, 0).await;
    assert_eq!(server.post(COMPLETIONS, &json!({ "prompt": "hi", "max_tokens": 1 })).await.status, 200);
}

/// Two of these kept both serving threads for seconds.
#[tokio::test]
async fn what_others_ask_is_answered_while_large_bodies_are_read() {
    let server = serve("").await;
    let ids: Vec<u32> = (0..3_000_000).map(|at| at % 50_000).collect();
    let body = json!({ "prompt": ids, "max_tokens": 1 }).to_string();
    let post = || {
        let request =
            server.http.post(format!("{}{COMPLETIONS}", server.url)).header("content-type", "application/json");
        tokio::spawn(request.body(body.clone()).send())
    };
    let large = [post(), post()];
    // Both have come.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.get("/health").await.status, 200);
    let answered = large.iter().filter(|task| task.is_finished()).count();
    assert_eq!(answered, 0, "it was not asked while they were read");
    for task in large {
        assert_eq!(task.await.unwrap().unwrap().status(), 400, "they are longer than the window");
    }
}

/// As JSON values it took twenty times its text.
#[tokio::test]
async fn a_list_of_token_ids_takes_little_more_than_its_text() {
    for (path, field, more) in [
        (COMPLETIONS, "prompt", json!({ "max_tokens": 1 })),
        ("/inference/v1/generate", "token_ids", json!({ "sampling_params": {} })),
    ] {
        let server = serve("").await;
        let ids: Vec<u32> = (0..3_000_000).map(|at| at % 100_000).collect();
        let mut body = more;
        body[field] = ids.into();
        let body = body.to_string();
        server.post(path, &json!({ "prompt": "hi" })).await;
        let before = server.peak_memory();
        let answer = server.post_text(path, "application/json", &body, &[]).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        let taken = server.peak_memory() - before;
        assert!(taken <= 3 * body.len() as u64, "{path}: {taken} bytes for {}", body.len());
    }
}
