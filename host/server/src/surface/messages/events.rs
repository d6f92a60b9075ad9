//! A message as a stream: blocks that begin, grow and end.

use rehearsal_engine::{CompletionOutput, DueTokens};
use serde::Serialize;
use serde_json::{Value, json};

use super::{ErrorBody, Usage, signature, stop};
use crate::generate::{Envelope, Events, Run, Streaming, TokenCounts};
use crate::wire::errors::ApiError;
use crate::wire::event::write_event;

/// Writes the events of a message.
pub struct MessageEvents {
    envelope: Envelope,
    streaming: Streaming,
    counts: TokenCounts,
    /// Blocks that were begun.
    n_blocks: usize,
    open: Option<Open>,
    /// What the last event tells, once the last token is there.
    stop: (Option<&'static str>, Option<String>),
}

/// The block that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Thinking,
    Text,
    /// Of this call, and whether it has any arguments yet.
    ToolUse {
        call_idx: usize,
        has_arguments: bool,
    },
}

/// In vLLM's order of keys.
#[derive(Debug, Serialize)]
struct BlockStart {
    #[serde(rename = "type")]
    kind: &'static str,
    content_block: Value,
    index: usize,
}

#[derive(Debug, Serialize)]
struct BlockDelta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    delta: Delta<'a>,
    index: usize,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Debug, Serialize)]
struct BlockStop {
    #[serde(rename = "type")]
    kind: &'static str,
    index: usize,
}

impl MessageEvents {
    pub(super) fn new(envelope: Envelope) -> Self {
        Self {
            streaming: Streaming::new(1, &envelope.config),
            envelope,
            counts: TokenCounts::default(),
            n_blocks: 0,
            open: None,
            stop: (None, None),
        }
    }

    fn start(&mut self, open: Open, content_block: Value, out: &mut Vec<u8>) {
        self.close(out);
        self.open = Some(open);
        let start = BlockStart { kind: "content_block_start", content_block, index: self.n_blocks };
        self.n_blocks += 1;
        write_event(out, start.kind, &start);
    }

    fn delta(&self, delta: Delta<'_>, out: &mut Vec<u8>) {
        let delta = BlockDelta { kind: "content_block_delta", delta, index: self.n_blocks - 1 };
        write_event(out, delta.kind, &delta);
    }

    /// Ends the open block.
    fn close(&mut self, out: &mut Vec<u8>) {
        match self.open.take() {
            None => return,
            Some(Open::Thinking) => {
                let signature = signature(&self.envelope.id);
                self.delta(Delta::Signature { signature: &signature }, out);
            }
            Some(Open::ToolUse { has_arguments: false, .. }) => {
                self.delta(Delta::InputJson { partial_json: "{}" }, out);
            }
            Some(Open::Text | Open::ToolUse { .. }) => {}
        }
        let stop = BlockStop { kind: "content_block_stop", index: self.n_blocks - 1 };
        write_event(out, stop.kind, &stop);
    }

    fn run(&mut self, run: &Run<'_>, output: &CompletionOutput, out: &mut Vec<u8>) {
        match run {
            Run::Reasoning(text) if !text.is_empty() => {
                if self.open != Some(Open::Thinking) {
                    let block = json!({ "type": "thinking", "thinking": "" });
                    self.start(Open::Thinking, block, out);
                }
                self.delta(Delta::Thinking { thinking: text }, out);
            }
            Run::Content(text) if !text.is_empty() => {
                if self.open != Some(Open::Text) {
                    self.start(Open::Text, json!({ "type": "text", "text": "" }), out);
                }
                self.delta(Delta::Text { text }, out);
            }
            Run::CallStart { call_idx } => {
                let call = output.tool_calls().nth(*call_idx);
                let (id, name) = call.map_or(("", ""), |call| (&call.id, &call.name));
                let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                self.start(Open::ToolUse { call_idx: *call_idx, has_arguments: false }, block, out);
            }
            Run::Arguments { call_idx, text } if !text.is_empty() => {
                self.open = Some(Open::ToolUse { call_idx: *call_idx, has_arguments: true });
                self.delta(Delta::InputJson { partial_json: text }, out);
            }
            Run::Reasoning(_) | Run::Content(_) | Run::Arguments { .. } => {}
        }
    }
}

impl Events for MessageEvents {
    /// Nothing is known of the cache yet: the whole prompt is new.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let message = json!({
            "id": self.envelope.id,
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": self.envelope.request.model,
            "stop_reason": null,
            "stop_sequence": null,
            "usage": { "input_tokens": self.envelope.prompt_tokens, "output_tokens": 0 },
        });
        write_event(out, "message_start", &json!({ "type": "message_start", "message": message }));
    }

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope);
        let streaming = self.streaming;
        streaming.each_run(event, |run, _| self.run(run, &event.output, out));
        if event.is_last() {
            self.stop = stop(&event.output);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        let (stop_reason, stop_sequence) = &self.stop;
        let usage = Usage::new(&self.envelope, self.counts);
        let delta = json!({ "stop_reason": stop_reason, "stop_sequence": stop_sequence });
        write_event(out, "message_delta", &json!({ "type": "message_delta", "delta": delta, "usage": usage }));
        write_event(out, "message_stop", &json!({ "type": "message_stop" }));
    }

    fn failed(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        self.close(out);
        Self::refused(error, out);
    }

    fn refused(error: &ApiError, out: &mut Vec<u8>) {
        write_event(out, "error", &ErrorBody::new(error));
    }

    /// Its end is the last event.
    const ENDS_WITH_DONE: bool = false;
}
