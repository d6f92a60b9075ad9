//! A client that hides nothing: statuses, headers, bytes, and when they came.

use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::Value;

use crate::Server;

/// An answer in one piece.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

/// A stream, read to its end.
#[derive(Debug)]
pub struct StreamAnswer {
    /// HTTP status.
    pub status: u16,
    /// `content-type`
    pub content_type: String,
    /// The events in order.
    pub events: Vec<Event>,
}

/// One `data:` line.
#[derive(Debug)]
pub struct Event {
    /// Since the request was sent.
    pub at: Duration,
    /// What follows `data: `.
    pub data: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap_or_default().to_owned())
        };
        let headers = response.headers().iter().map(header).collect();
        let text = response.text().await.expect("the body is whole");
        let json = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, json }
    }
}

impl StreamAnswer {
    /// The chunks; the last event must be `[DONE]`.
    pub fn chunks(&self) -> Vec<Value> {
        let (done, chunks) = self.events.split_last().expect("a stream has events");
        assert_eq!(done.data, "[DONE]");
        chunks.iter().map(|event| serde_json::from_str(&event.data).expect("a chunk is JSON")).collect()
    }

    /// The text of one choice.
    pub fn text(&self, choice: u64) -> String {
        let chunks = self.chunks();
        let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().cloned().unwrap_or_default());
        choices.filter(|part| part["index"] == choice).map(|part| content_of(&part).to_owned()).collect()
    }

    /// When each chunk with output came, the role chunk left out.
    pub fn token_times(&self) -> Vec<Duration> {
        let is_token = |event: &&Event| {
            event.data != "[DONE]" && !event.data.contains(r#""role":"#) && !event.data.contains(r#""choices":[]"#)
        };
        self.events.iter().filter(is_token).map(|event| event.at).collect()
    }
}

/// The text of a choice, whole or in a chunk, chat or not.
pub fn content_of(choice: &Value) -> &str {
    [&choice["message"]["content"], &choice["delta"]["content"], &choice["text"]]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or_default()
}

impl Server {
    /// `GET path`
    pub async fn get(&self, path: &str) -> Answer {
        Answer::read(self.http.get(format!("{}{path}", self.url)).send().await.expect("it answers")).await
    }

    /// `POST path` with JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, "application/json", &body.to_string(), &[]).await
    }

    /// `POST path` with any body and headers.
    pub async fn post_text(&self, path: &str, media_type: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.url)).header("content-type", media_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.body(body.to_owned()).send().await.expect("it answers")).await
    }

    /// `POST path` with `stream: true` added, read to the end.
    pub async fn stream(&self, path: &str, body: &Value) -> StreamAnswer {
        let mut body = body.clone();
        body["stream"] = true.into();
        let start = Instant::now();
        let request = self.http.post(format!("{}{path}", self.url)).json(&body);
        let response = request.send().await.expect("it answers");
        let status = response.status().as_u16();
        let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
        let mut bytes = response.bytes_stream();
        let (mut events, mut rest) = (Vec::new(), String::new());
        let mut broken = Vec::new();
        while let Some(part) = bytes.next().await {
            // A chunk of the transfer may end within a character.
            broken.extend_from_slice(&part.expect("the stream is whole"));
            let valid = std::str::from_utf8(&broken).map_or_else(|error| error.valid_up_to(), str::len);
            rest.push_str(std::str::from_utf8(&broken[..valid]).expect("checked"));
            broken.drain(..valid);
            while let Some((event, after)) = rest.split_once("\n\n") {
                let data = event.strip_prefix("data: ").expect("only data lines").to_owned();
                events.push(Event { at: start.elapsed(), data });
                rest = after.to_owned();
            }
        }
        assert_eq!(rest, "", "a stream ends with a whole event");
        StreamAnswer { status, content_type, events }
    }

    /// A chat request with one user message and whatever `more` adds.
    pub fn chat(text: &str, more: &Value) -> Value {
        let mut body = serde_json::json!({ "messages": [{ "role": "user", "content": text }] });
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        body
    }
}

/// A client of HTTP. It has to be told whose cryptography it uses, which is the program's.
pub fn http_client() -> reqwest::ClientBuilder {
    // Once per process; fails where that was done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Before the server closes an idle connection, which it does after 5 s: a request may be on its way then.
    reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(3))
}
