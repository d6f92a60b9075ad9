//! What a client makes of an answer, whole or streamed.

use axum::http::StatusCode;
use serde_json::Value;

/// The first choice of an answer, or its error.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<Call>,
    pub(super) finish_reason: Option<String>,
    /// `error` of the body, or of an event of the stream.
    pub(super) error: Option<Value>,
}

/// A tool call.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    /// JSON text.
    pub(super) arguments: String,
}

impl Answered {
    pub(super) fn new(status: StatusCode, body: &[u8]) -> Self {
        let mut answered = Self { status: status.as_u16(), ..Self::default() };
        match serde_json::from_slice::<Value>(body) {
            Ok(body) => answered.take(&body, "message"),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                let events = text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
                events.for_each(|event: Value| answered.take(&event, "delta"));
            }
        }
        answered
    }

    /// Adds what one body or event has of it; a chat has it in `part`, a text completion in the choice itself.
    fn take(&mut self, body: &Value, part: &str) {
        if let Some(error) = body.get("error") {
            self.error = Some(error.clone());
        }
        let choices = body["choices"].as_array().into_iter().flatten();
        for choice in choices.filter(|choice| choice["index"] == 0) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let part = &choice[part];
            self.text += &text(if part.is_null() { &choice["text"] } else { &part["content"] });
            self.reasoning += &text(&part["reasoning"]);
            for call in part["tool_calls"].as_array().into_iter().flatten() {
                let index = call["index"].as_u64().map_or(self.calls.len(), |index| index as usize);
                self.calls.resize(self.calls.len().max(index + 1), Call::default());
                self.calls[index].name += &text(&call["function"]["name"]);
                self.calls[index].arguments += &text(&call["function"]["arguments"]);
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.finish_reason = Some(reason.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_answer_as_one_in_one_piece() {
        let whole = r#"{"choices": [{"index": 0, "message": {"content": "a b", "reasoning": "hm", "tool_calls": [
            {"function": {"name": "add", "arguments": "{\"a\": 1}"}}]}, "finish_reason": "stop"}]}"#;
        let stream = r#"data: {"choices": [{"index": 0, "delta": {"reasoning": "hm"}}]}

data: {"choices": [{"index": 0, "delta": {"content": "a "}}, {"index": 1, "delta": {"content": "other"}}]}

data: {"choices": [{"index": 0, "delta": {"content": "b", "tool_calls": [{"index": 0, "function": {"name": "add", "arguments": "{\"a\": "}}]}}]}

data: {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}, "finish_reason": "stop"}]}

data: [DONE]
"#;
        let [whole, stream] =
            [whole, stream].map(|body| format!("{:?}", Answered::new(StatusCode::OK, body.as_bytes())));
        assert_eq!(whole, stream);
        let broken = Answered::new(StatusCode::OK, b"data: {\"error\": {\"message\": \"m\"}}\n\n");
        assert_eq!(broken.error.unwrap()["message"], "m");
    }
}
