//! A response as a stream: items that begin, grow and end, each event with its number.

use std::ops::Range;
use std::sync::Arc;

use rehearsal_engine::{CompletionOutput, DueTokens, FinishReason};
use serde_json::{Value, json};

use super::Responses;
use super::object::{Object, call_item, item_id, message_item, reasoning_item, text_part};
use crate::generate::{Envelope, Events, Run, Streaming, TokenCounts};
use crate::surface::openai::Logprobs;
use crate::wire::errors::ApiError;
use crate::wire::event::write_event;

/// Writes the events of a response.
pub struct ResponseEvents {
    responses: Responses,
    envelope: Envelope,
    streaming: Streaming,
    logprobs: Logprobs,
    counts: TokenCounts,
    sequence_number: u64,
    /// Items that have ended.
    output: Vec<Value>,
    open: Option<Open>,
    /// What was generated, once all of it was told.
    generated: Option<Arc<CompletionOutput>>,
}

/// The item that is being written.
struct Open {
    id: String,
    kind: Kind,
    text: String,
    /// Of the tokens of its text, where they are wanted.
    logprobs: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reasoning,
    Message,
    Call(usize),
}

impl ResponseEvents {
    pub(super) fn new(responses: Responses, envelope: Envelope) -> Self {
        Self {
            streaming: Streaming::new(1, &envelope.config),
            logprobs: Logprobs::new(&responses.shown, &envelope),
            responses,
            envelope,
            counts: TokenCounts::default(),
            sequence_number: 0,
            output: Vec::new(),
            open: None,
            generated: None,
        }
    }

    /// `data` ends with the event's number and name.
    fn event(&mut self, name: &str, mut data: Value, out: &mut Vec<u8>) {
        data["sequence_number"] = self.sequence_number.into();
        data["type"] = name.into();
        self.sequence_number += 1;
        write_event(out, name, &data);
    }

    fn start(&mut self, kind: Kind, output: &CompletionOutput, out: &mut Vec<u8>) {
        self.close(output, false, out);
        let (output_index, response_id) = (self.output.len(), &self.envelope.id);
        let (id, item, part) = match kind {
            Kind::Reasoning => {
                let id = item_id("rs", response_id, output_index);
                let part = json!({ "text": "", "type": "reasoning_text" });
                let item = reasoning_item(&id, None, Some("in_progress"));
                (id, item, Some(part))
            }
            Kind::Message => {
                let id = item_id("msg", response_id, output_index);
                let item = message_item(&id, None, &Value::Null, "in_progress");
                (id, item, Some(text_part("", &json!([]))))
            }
            Kind::Call(call_idx) => {
                let id = item_id("fc", response_id, output_index);
                let Some(call) = output.tool_calls().nth(call_idx) else { return };
                let item = call_item(&id, call, "", "in_progress");
                (id, item, None)
            }
        };
        self.event("response.output_item.added", json!({ "item": item, "output_index": output_index }), out);
        if let Some(part) = part {
            let data = json!({ "content_index": 0, "item_id": id, "output_index": output_index, "part": part });
            self.event("response.content_part.added", data, out);
        }
        self.open = Some(Open { id, kind, text: String::new(), logprobs: Vec::new() });
    }

    /// Ends the open item. The last one of an output that was cut is incomplete.
    fn close(&mut self, output: &CompletionOutput, was_cut: bool, out: &mut Vec<u8>) {
        let Some(Open { id, kind, text, logprobs }) = self.open.take() else { return };
        let output_index = self.output.len();
        let status = if was_cut { "incomplete" } else { "completed" };
        let logprobs = if self.responses.shown.n_logprobs.is_some() { Value::Array(logprobs) } else { Value::Null };
        let (item, part) = match kind {
            Kind::Reasoning => {
                let data = json!({ "content_index": 0, "item_id": id, "output_index": output_index });
                self.text_done("response.reasoning_text.done", data, &text, out);
                let part = json!({ "text": text, "type": "reasoning_text" });
                (reasoning_item(&id, Some(&text), Some(status)), Some(part))
            }
            Kind::Message => {
                let data = json!({ "content_index": 0, "item_id": id, "logprobs": [], "output_index": output_index });
                self.text_done("response.output_text.done", data, &text, out);
                (message_item(&id, Some(&text), &logprobs, status), Some(text_part(&text, &logprobs)))
            }
            Kind::Call(call_idx) => {
                let Some(call) = output.tool_calls().nth(call_idx) else { return };
                let name = "response.function_call_arguments.done";
                let sequence_number = self.sequence_number;
                self.sequence_number += 1;
                // Alone of all events, this one has something behind its name.
                let data = json!({
                    "arguments": text,
                    "item_id": id,
                    "output_index": output_index,
                    "sequence_number": sequence_number,
                    "type": name,
                    "name": call.name,
                });
                write_event(out, name, &data);
                (call_item(&id, call, &text, status), None)
            }
        };
        if let Some(part) = part {
            let data = json!({ "content_index": 0, "item_id": id, "output_index": output_index, "part": part });
            self.event("response.content_part.done", data, out);
        }
        self.event("response.output_item.done", json!({ "item": item, "output_index": output_index }), out);
        self.output.push(item);
    }

    /// `text` stands behind the event's number.
    fn text_done(&mut self, name: &str, mut data: Value, text: &str, out: &mut Vec<u8>) {
        data["sequence_number"] = self.sequence_number.into();
        data["text"] = text.into();
        self.event(name, data, out);
    }

    fn run(&mut self, run: &Run<'_>, tokens: Range<usize>, output: &CompletionOutput, out: &mut Vec<u8>) {
        let (kind, text) = match run {
            Run::Reasoning(_) if !self.responses.shows_reasoning => return,
            Run::Reasoning(text) => (Kind::Reasoning, text.as_ref()),
            Run::Content(text) => (Kind::Message, text.as_ref()),
            Run::CallStart { call_idx } => return self.start(Kind::Call(*call_idx), output, out),
            Run::Arguments { call_idx, text } => (Kind::Call(*call_idx), text.as_ref()),
        };
        if text.is_empty() {
            return;
        }
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            self.start(kind, output, out);
        }
        let logprobs = if kind == Kind::Message { self.logprobs.of_response(output, tokens) } else { None };
        let Some(open) = &mut self.open else { return };
        open.text.push_str(text);
        let (id, output_index) = (open.id.clone(), self.output.len());
        let (name, data) = match kind {
            Kind::Reasoning => (
                "response.reasoning_text.delta",
                json!({ "content_index": 0, "delta": text, "item_id": id, "output_index": output_index }),
            ),
            Kind::Message => {
                let (told, kept) = logprobs.unwrap_or_default();
                open.logprobs.extend(kept);
                let data = json!({
                    "content_index": 0,
                    "delta": text,
                    "item_id": id,
                    "logprobs": told,
                    "output_index": output_index,
                });
                ("response.output_text.delta", data)
            }
            Kind::Call(_) => (
                "response.function_call_arguments.delta",
                json!({ "delta": text, "item_id": id, "output_index": output_index }),
            ),
        };
        self.event(name, data, out);
    }
}

impl Events for ResponseEvents {
    const ENDS_WITH_DONE: bool = false;

    /// Before anything was generated.
    fn accepted(&mut self, out: &mut Vec<u8>) {
        for name in ["response.created", "response.in_progress"] {
            let response = json!(Object::begun(&self.envelope, &self.responses.echo, "in_progress"));
            self.event(name, json!({ "response": response }), out);
        }
    }

    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope);
        let streaming = self.streaming;
        streaming.each_run(event, |run, tokens| self.run(run, tokens, &event.output, out));
        if event.is_last() {
            self.close(&event.output, event.output.finish_reason() == &FinishReason::Length, out);
            self.generated = Some(event.output.clone());
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let Self { envelope, responses, output, generated, counts, .. } = self;
        let Some(generated) = generated else { return };
        let was_cut = generated.finish_reason() == &FinishReason::Length;
        let name = if was_cut { "response.incomplete" } else { "response.completed" };
        let response = json!(Object::ended(envelope, &responses.echo, output, generated, *counts));
        self.responses.keep(&self.envelope, response.clone(), &self.output);
        self.event(name, json!({ "response": response }), out);
    }

    /// As OpenAI's own API has it; vLLM cuts the connection here, and says nothing.
    fn failed(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        write_error(error, self.sequence_number, out);
    }

    fn refused(error: &ApiError, out: &mut Vec<u8>) {
        write_error(error, 0, out);
    }
}

fn write_error(error: &ApiError, sequence_number: u64, out: &mut Vec<u8>) {
    let body = json!(error.body())["error"].clone();
    let data = json!({
        "type": "error",
        "code": body["type"],
        "message": body["message"],
        "param": body["param"],
        "sequence_number": sequence_number,
    });
    write_event(out, "error", &data);
}
