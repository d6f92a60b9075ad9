//! Server-sent events as OpenAI's API has them, taken out of whatever pieces the network makes of them.

use serde::Deserialize;
use serde_json::Value;

use crate::Sent;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Chunk {
    /// It has something of an answer.
    Tokens,
    /// It has counts.
    Usage(Usage),
    /// It has an error.
    Error(String),
    /// The end.
    Done,
    /// It has nothing, as the one that begins a chat.
    Other,
}

/// Counts of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Usage {
    #[serde(alias = "input_tokens")]
    prompt_tokens: Option<u32>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u32>,
}

impl Usage {
    /// Those of a body, or of an event.
    pub(crate) fn of(body: &Value) -> Option<Self> {
        Self::deserialize(body.get("usage").filter(|usage| usage.is_object())?).ok()
    }

    pub(crate) fn add_to(self, sent: &mut Sent) {
        sent.prompt_tokens = self.prompt_tokens.or(sent.prompt_tokens);
        sent.output_tokens = self.completion_tokens.or(sent.output_tokens);
    }
}

/// What has come so far and is no whole line.
#[derive(Debug, Default)]
pub(crate) struct Chunks(Vec<u8>);

impl Chunks {
    /// The events that are whole with these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Chunk> {
        self.0.extend_from_slice(bytes);
        let mut chunks = Vec::new();
        let mut begin = 0;
        while let Some(length) = self.0[begin..].iter().position(|byte| *byte == b'\n') {
            let line = self.0[begin..begin + length].trim_ascii();
            begin += length + 1;
            if let Some(data) = line.strip_prefix(b"data:") {
                chunks.extend(events(data.trim_ascii()));
            }
        }
        self.0.drain(..begin);
        chunks
    }
}

/// What one event says: tokens, and perhaps counts.
fn events(data: &[u8]) -> Vec<Chunk> {
    if data == b"[DONE]" {
        return vec![Chunk::Done];
    }
    let Ok(event) = serde_json::from_slice::<Value>(data) else {
        return vec![Chunk::Error(format!("an event is no JSON: {}", String::from_utf8_lossy(data)))];
    };
    if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
        return vec![Chunk::Error(error.to_string())];
    }
    let mut found = Vec::new();
    if has_tokens(&event) {
        found.push(Chunk::Tokens);
    }
    found.extend(Usage::of(&event).map(Chunk::Usage));
    // Other APIs end with an event of this kind, and without `[DONE]`.
    if matches!(event["type"].as_str(), Some("message_stop" | "response.completed" | "response.incomplete")) {
        found.extend(Usage::of(&event["response"]).map(Chunk::Usage));
        found.push(Chunk::Done);
    }
    if found.is_empty() { vec![Chunk::Other] } else { found }
}

fn has_tokens(event: &Value) -> bool {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let choices = event["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
    // A token may stand for no text. What begins a chat has a role and nothing else, and what ends one may have a reason only.
    let of_choice = |choice: &Value| {
        let delta = &choice["delta"];
        let parts = [&delta["content"], &delta["reasoning"], &delta["reasoning_content"]];
        choice.get("text").is_some()
            || parts.into_iter().any(is_text)
            || delta["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty())
            || (delta.is_object() && delta.get("role").is_none() && choice["finish_reason"].is_null())
    };
    let kind = event["type"].as_str().unwrap_or_default();
    choices.iter().any(of_choice)
        || kind == "content_block_delta"
        || (kind.ends_with(".delta") && is_text(&event["delta"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_in_whatever_pieces_they_come() {
        let text = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\r\n\r\n\
            : a comment\n\ndata: {\"choices\":[{\"text\":\"a\"}],\"usage\":null}\n\ndata: [DONE]\n\n";
        let usage = Chunk::Usage(Usage { prompt_tokens: Some(3), completion_tokens: Some(1) });
        let expected = [Chunk::Other, Chunk::Tokens, usage, Chunk::Tokens, Chunk::Done];
        for size in [1, 7, text.len()] {
            let mut chunks = Chunks::default();
            let found: Vec<_> = text.as_bytes().chunks(size).flat_map(|bytes| chunks.push(bytes)).collect();
            assert_eq!(found, expected, "{size} bytes at a time");
        }
    }

    #[test]
    fn other_apis_and_errors_are_understood() {
        let of = |data: &str| events(data.as_bytes());
        assert_eq!(of(r#"{"type":"content_block_delta","delta":{"text":"a"}}"#), [Chunk::Tokens]);
        assert_eq!(of(r#"{"type":"response.output_text.delta","delta":"a"}"#), [Chunk::Tokens]);
        assert_eq!(of(r#"{"type":"message_stop"}"#), [Chunk::Done]);
        let usage = Chunk::Usage(Usage { prompt_tokens: Some(2), completion_tokens: Some(9) });
        let incomplete = r#"{"type":"response.incomplete","response":{"usage":{"input_tokens":2,"output_tokens":9}}}"#;
        assert_eq!(of(incomplete), [usage, Chunk::Done]);
        assert_eq!(of(r#"{"choices":[{"text":"","finish_reason":"length"}]}"#), [Chunk::Tokens]);
        assert_eq!(of(r#"{"choices":[{"delta":{"content":""},"finish_reason":null}]}"#), [Chunk::Tokens]);
        assert_eq!(of(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#), [Chunk::Other]);
        assert_eq!(of(r#"{"error":{"message":"no"}}"#), [Chunk::Error(r#"{"message":"no"}"#.into())]);
        assert!(matches!(&of("{")[..], [Chunk::Error(error)] if error.contains("no JSON")));
    }
}
