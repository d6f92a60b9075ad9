//! Against a server of a few lines.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::stream;

use super::*;

/// Streams three tokens, 30 ms from one to the next.
async fn streams() -> Response {
    let parts = [
        r#"data: {"choices":[{"text":"a"}]}"#,
        r#"data: {"choices":[{"text":"b"}]}"#,
        r#"data: {"choices":[{"text":"c"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
        "data: [DONE]",
    ];
    let body = stream::unfold(0, move |at| async move {
        let part = parts.get(at)?;
        tokio::time::sleep(Duration::from_millis(if at == 0 { 0 } else { 30 })).await;
        Some((Ok::<_, std::convert::Infallible>(format!("{part}\n\n")), at + 1))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

async fn refuses() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, "full").into_response()
}

#[tokio::test]
async fn each_request_is_sent_at_its_time_and_measured() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/completions", post(streams)).route("/full", post(refuses));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let planned = |ms, path: &str| Planned {
        at: Duration::from_millis(ms),
        method: Method::POST,
        path: path.into(),
        headers: Vec::new(),
        body: Bytes::new(),
    };
    let requests = vec![planned(0, "/v1/completions"), planned(20, "/full"), planned(40, "/v1/completions")];
    let sent = send(&url, requests, |_| {}).await.unwrap();
    let [first, refused, second] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((first.prompt_tokens, first.output_tokens, first.gaps.len()), (Some(7), Some(3), 2), "{first:?}");
    assert!(first.is_good() && first.e2e >= 0.06 && first.ttft.is_some_and(|ttft| ttft < first.e2e), "{first:?}");
    // The third was sent before the first had ended.
    assert!(second.start >= 0.04 && second.start < first.start + first.e2e, "{second:?}");
    assert_eq!((refused.status, refused.error.as_deref()), (Some(429), Some("full")));
    let file = result_file("m", f64::INFINITY, &sent);
    assert_eq!((file["completed"].as_u64(), file["errors"][1].as_str()), (Some(2), Some("full")));
    assert_eq!(file["itls"][0].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_of_by_each_request() {
    let planned =
        Planned { at: Duration::ZERO, method: Method::POST, path: "/".into(), headers: Vec::new(), body: Bytes::new() };
    let sent = send("http://127.0.0.1:9", vec![planned], |_| {}).await.unwrap();
    assert!(
        sent[0].status.is_none() && sent[0].error.as_ref().is_some_and(|error| error.contains("refused")),
        "{sent:?}"
    );
}
