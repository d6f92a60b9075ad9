//! One request, timed from the moment that it is sent.

use futures::StreamExt;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::time::Instant;

use crate::chunks::{Chunk, Chunks};
use crate::{Planned, Sent};

/// Sends a request; times count from `begin`.
pub(crate) async fn send(client: &Client, url: &str, request: Planned, begin: Instant) -> Sent {
    let start = Instant::now();
    let mut sent =
        Sent { planned: request.at.as_secs_f64(), start: start.duration_since(begin).as_secs_f64(), ..Sent::default() };
    let mut sending = client.request(request.method, url).body(request.body);
    for (name, value) in request.headers {
        sending = sending.header(name, value);
    }
    match sending.send().await {
        Ok(response) => {
            sent.status = Some(response.status().as_u16());
            let is_stream = response
                .headers()
                .get(CONTENT_TYPE)
                .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
            if is_stream {
                read_stream(response, start, &mut sent).await;
            } else {
                read_whole(response, start, &mut sent).await;
            }
        }
        Err(error) => sent.error = Some(reasons(&error)),
    }
    sent
}

async fn read_stream(response: Response, start: Instant, sent: &mut Sent) {
    let (mut body, mut chunks) = (response.bytes_stream(), Chunks::default());
    let (mut last, mut is_done) = (None, false);
    while let Some(part) = body.next().await {
        let part = match part {
            Ok(part) => part,
            Err(error) => {
                sent.error = Some(reasons(&error));
                return;
            }
        };
        let now = Instant::now();
        for chunk in chunks.push(&part) {
            match chunk {
                Chunk::Tokens => match last.replace(now) {
                    None => sent.ttft = Some(now.duration_since(start).as_secs_f64()),
                    Some(before) => sent.gaps.push(now.duration_since(before).as_secs_f64()),
                },
                Chunk::Usage(usage) => usage.add_to(sent),
                Chunk::Error(error) => sent.error = Some(error),
                Chunk::Done => is_done = true,
                Chunk::Other => {}
            }
        }
    }
    sent.e2e = last.map_or_else(|| start.elapsed(), |last| last.duration_since(start)).as_secs_f64();
    if !is_done && sent.error.is_none() {
        sent.error = Some("the stream ended before its end".into());
    }
}

async fn read_whole(response: Response, start: Instant, sent: &mut Sent) {
    let is_error = !response.status().is_success();
    match response.bytes().await {
        Ok(body) if is_error => sent.error = Some(beginning(&String::from_utf8_lossy(&body))),
        Ok(body) => {
            if let Ok(body) = serde_json::from_slice::<Value>(&body)
                && let Some(usage) = crate::chunks::Usage::of(&body)
            {
                usage.add_to(sent);
            }
        }
        Err(error) => sent.error = Some(reasons(&error)),
    }
    sent.e2e = start.elapsed().as_secs_f64();
}

/// An error with what it comes from: reqwest's own says little.
fn reasons(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn beginning(text: &str) -> String {
    const MOST: usize = 300;
    text[..text.floor_char_boundary(MOST)].to_owned()
}
