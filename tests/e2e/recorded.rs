//! 300 requests whose answers were recorded, byte for byte: a change of the program's shape must not change them. A
//! change of its behaviour does, and `RECORD_ANSWERS=1 cargo test recorded` writes the file anew, for the review to read.

use std::path::PathBuf;

use futures::StreamExt;
use futures::stream::iter;
use rehearsal_tests::{ROOT, Server};
use serde_json::{Value, json};

use crate::determinism::without_created;
use crate::{EXE, serve};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

struct Request {
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Request {
    fn new(path: &'static str, body: Value) -> Self {
        Self { path, headers: Vec::new(), body }
    }

    /// What it is asked with, what it is answered with, and whether the body ended as it should.
    async fn record(&self, server: &Server) -> String {
        let mut request = server.http.post(format!("{}{}", server.url, self.path)).json(&self.body);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut record = format!("> {} {:?} {}\n", self.path, self.headers, self.body);
        // Cut before its first byte, an answer may not even have a head.
        let Ok(mut response) = request.send().await else { return record + "< cut\n" };
        record += &format!("< {}\n", response.status().as_u16());
        let mut bytes = Vec::new();
        let is_whole = loop {
            match response.chunk().await {
                Ok(Some(part)) => bytes.extend_from_slice(&part),
                end => break end.is_ok(),
            }
        };
        let answer = without_created(std::str::from_utf8(&bytes).unwrap());
        record += &choice_by_choice(answer.trim_end());
        record + if is_whole { "\n" } else { "\n< cut\n" }
    }
}

/// Which choice's plugin answers first is not ours to say: the events of a stream, those of one choice together.
fn choice_by_choice(answer: &str) -> String {
    let mut events: Vec<_> = answer.split("\n\n").collect();
    // Without any choice, as usage and errors are: where it is, at the end.
    events.sort_by_key(|event| event.split_once("\"index\":").map_or('~', |(_, rest)| rest.chars().next().unwrap()));
    events.join("\n")
}

/// `base`, and of the extras number `at % n` of each list: all combinations in the long run.
fn combined(mut base: Value, at: usize, extras: &[&[Value]]) -> Value {
    let mut rest = at;
    for list in extras {
        for (key, value) in list[rest % list.len()].as_object().into_iter().flatten() {
            base[key] = value.clone();
        }
        rest = rest / list.len() + at;
    }
    base
}

fn stream_or_not() -> [Value; 3] {
    [
        json!({}),
        json!({ "stream": true }),
        json!({ "stream": true, "stream_options": { "include_usage": true }, "stream_interval": 3 }),
    ]
}

fn plain(at: usize) -> Request {
    let shapes = [
        json!({}),
        json!({ "n": 3, "temperature": 1 }),
        json!({ "stop": ["e", " a"] }),
        json!({ "stop": "the", "include_stop_str_in_output": true }),
        json!({ "ignore_eos": true }),
        json!({ "min_tokens": 5 }),
    ];
    let seeds = [json!({}), json!({ "seed": at })];
    let extras: [&[Value]; 3] = [&stream_or_not(), &shapes, &seeds];
    if at.is_multiple_of(2) {
        return Request::new(CHAT, combined(Server::chat("Tell me.", &json!({ "max_tokens": 9 })), at / 2, &extras));
    }
    let prompts = [json!("Once upon"), json!(["A", "B"]), json!([11, 12, 13])];
    let echo = json!({ "prompt": prompts[at / 2 % 3], "max_tokens": 7, "echo": at.is_multiple_of(5) });
    Request::new(TEXT, combined(echo, at / 2, &extras))
}

fn with_tools(at: usize) -> Request {
    let parameters = json!({ "type": "object", "required": ["city"], "properties": {
        "city": { "type": "string", "enum": ["Oslo", "Lima"] },
        "days": { "type": "integer", "minimum": 1, "maximum": 9 },
    } });
    let tool = |name: &str| json!({ "type": "function", "function": { "name": name, "parameters": parameters } });
    let choices = [
        json!({}),
        json!({ "tool_choice": "required" }),
        json!({ "tool_choice": "none" }),
        json!({ "tool_choice": { "type": "function", "function": { "name": "f" } } }),
    ];
    let shapes = [
        json!({ "max_tokens": 40 }),
        json!({ "max_tokens": 5 }),
        json!({ "n": 2, "temperature": 1, "max_tokens": 30 }),
        json!({ "parallel_tool_calls": false, "max_tokens": 40 }),
    ];
    let base = Server::chat("Weather?", &json!({ "tools": [tool("f"), tool("get_weather")] }));
    Request::new(CHAT, combined(base, at, &[&stream_or_not(), &choices, &shapes]))
}

fn failing(at: usize) -> Request {
    let body = combined(Server::chat("one two three four five", &json!({})), at, &[&stream_or_not()]);
    let headers = match at % 9 {
        8 => vec![("x-return-error", "429".to_owned())],
        rule => vec![("x-rule", rule.to_string())],
    };
    Request { headers, ..Request::new(CHAT, body) }
}

/// One rule for each value of a header.
fn failure_rules() -> Value {
    let error = json!({ "error": { "status": 500, "message": "lost it", "type": "Oops" } });
    let rules = [
        json!({ "failure": error, "moment": "on-arrival" }),
        json!({ "failure": error, "moment": "on-schedule" }),
        json!({ "failure": error, "moment": { "after-tokens": 3 } }),
        json!({ "failure": error, "moment": "at-end" }),
        json!({ "failure": "disconnect", "moment": { "after-tokens": 2 } }),
        json!({ "failure": "malformed", "moment": { "after-tokens": 4 } }),
        json!({ "failure": { "stall": 5 }, "moment": { "after-tokens": 1 } }),
    ];
    let with_header = rules.into_iter().enumerate().map(|(at, mut rule)| {
        rule["header"] = json!({ "x-rule": at.to_string() });
        rule
    });
    json!({ "rules": with_header.collect::<Vec<_>>() })
}

/// Streams that fill a small cache together. How much of a prompt was cached depends on time, so none is asked for usage.
fn crowded(at: usize) -> Request {
    let prompt: Vec<_> = (0..40).map(|token| 1000 * (at as u32 % 5) + token).collect();
    let body = json!({ "prompt": prompt, "max_tokens": 30, "ignore_eos": true, "stream": true, "stream_interval": 10,
                       "seed": at, "request_id": format!("crowded-{at}") });
    Request::new(TEXT, body)
}

async fn one_by_one(server: &Server, requests: impl Iterator<Item = Request>) -> String {
    iter(requests).then(|request| async move { request.record(server).await }).collect().await
}

#[tokio::test]
async fn recorded_answers_are_answered_again() {
    let mut records = one_by_one(&serve("--seed 7").await, (0..108).map(plain)).await;
    records +=
        &one_by_one(&serve("--seed 8 --tool-call-not-required-param-probability 50").await, (0..60).map(with_tools))
            .await;
    let rules = format!("failure={}", failure_rules());
    let args = ["--model", "m", "--mode", "echo", "--seed", "9", "--plugin-config", &rules];
    records += &one_by_one(&Server::start(EXE, &args).await, (0..72).map(failing)).await;
    let server = serve(
        "--seed 10 --enable-kvcache --zmq-endpoint= --kv-cache-size 16 --max-num-seqs 5 --inter-token-latency 1ms",
    )
    .await;
    let server = &server;
    let crowd = iter((0..60).map(crowded)).map(|request| async move { request.record(server).await });
    records += &crowd.buffered(6).collect::<String>().await;
    let page = server.get("/metrics").await.text;
    let preemptions = page.lines().find(|line| line.starts_with("vllm:num_preemptions_total")).unwrap();
    assert!(!preemptions.ends_with(" 0"), "{preemptions}");

    let file = PathBuf::from(ROOT).join("tests/data/recorded-answers.txt");
    if std::env::var_os("RECORD_ANSWERS").is_some() {
        std::fs::write(&file, &records).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap();
    for (at, (expected, got)) in recorded.lines().zip(records.lines()).enumerate() {
        let goes_on = || records.lines().skip(at).take(9).collect::<Vec<_>>().join("\n");
        assert_eq!(expected, got, "line {} of {}; it goes on with\n{}", at + 1, file.display(), goes_on());
    }
    assert_eq!(recorded.lines().count(), records.lines().count());
    assert_eq!(records.lines().filter(|line| line.starts_with("> ")).count(), 300);
}
