//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::{CompletionOutput, OutputEvent};
use serde::Serialize;

use super::body::{ChatCompletionRequest, json_object};
use super::error::ApiError;
use super::openai::{Answer, ChatOnly, ChunkWriter, Envelope, collect, completion_tokens, write_number, write_pair};
use crate::app::App;
use crate::sse::{self, Chunks};
use crate::validate;

/// Answers a conversation, in one piece or as a stream.
pub async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let request = ChatCompletionRequest::read(&json_object(&headers, &body)?)?;
    let (transfer, include_usage) = (request.common.transfer, request.common.include_usage);
    let request = validate::chat(request, &headers, &body, &app)?;
    let (stream, n_choices) = (request.streaming, request.n_choices());
    let prompt_tokens = request.prompts.iter().map(|prompt| prompt.n_tokens).sum();

    let output = app.engine.submit(request, app.strategy.clone())?;
    let envelope = Envelope::new("chatcmpl-", output.request_id(), prompt_tokens, transfer, &app);
    if stream {
        return sse::respond(output, ChatChunks::new(envelope, n_choices, include_usage)).await;
    }
    let outputs = collect(output, n_choices).await?;
    let choices = (0..).zip(&outputs).map(|(index, output)| ChatChoice::new(index, output, &envelope)).collect();
    let tokens = completion_tokens(&outputs);
    Ok(Json(Answer::new("chat.completion", envelope, tokens, choices, Some(ChatOnly::default()))).into_response())
}

#[derive(Debug, Serialize)]
struct ChatChoice {
    index: u32,
    message: Message,
    logprobs: Option<()>,
    finish_reason: String,
    stop_reason: Option<String>,
    token_ids: Option<()>,
    routed_experts: Option<()>,
    weight_versions: Option<()>,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: String,
    refusal: Option<()>,
    annotations: Option<()>,
    audio: Option<()>,
    function_call: Option<()>,
    reasoning: Option<()>,
}

impl ChatChoice {
    fn new(index: u32, output: &CompletionOutput, envelope: &Envelope) -> Self {
        Self {
            index,
            message: Message {
                role: "assistant",
                content: output.text().to_owned(),
                refusal: None,
                annotations: None,
                audio: None,
                function_call: None,
                reasoning: None,
            },
            logprobs: None,
            finish_reason: envelope.finish_reason(output.finish_reason()).to_owned(),
            stop_reason: output.stop_reason().map(str::to_owned),
            token_ids: None,
            routed_experts: None,
            weight_versions: None,
        }
    }
}

/// `chat.completion.chunk`s.
struct ChatChunks {
    writer: ChunkWriter,
    envelope: Envelope,
    n_choices: u32,
    include_usage: bool,
    completion_tokens: u32,
}

impl ChatChunks {
    fn new(envelope: Envelope, n_choices: u32, include_usage: bool) -> Self {
        let writer = ChunkWriter::new("chat.completion.chunk", &envelope, include_usage);
        Self { writer, envelope, n_choices, include_usage, completion_tokens: 0 }
    }
}

impl Chunks for ChatChunks {
    /// One chunk for each choice says who speaks.
    fn begin(&mut self, out: &mut Vec<u8>) {
        for index in 0..self.n_choices {
            self.writer.special(out, r#"],"prompt_token_ids":null,"prompt_text":null}"#, |out| {
                write_number(out, r#"{"index":"#, index);
                out.extend_from_slice(
                    br#","delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#,
                );
            });
        }
    }

    fn tokens(&mut self, event: &OutputEvent, out: &mut Vec<u8>) {
        self.completion_tokens += event.tokens.len() as u32;
        let n_tokens = event.output.n_tokens();
        let delta = |out: &mut Vec<u8>, text: &str| {
            write_number(out, r#"{"index":"#, event.choice);
            write_pair(out, r#","delta":{"content":"#, text);
        };
        for token_idx in event.tokens.clone() {
            if token_idx + 1 < n_tokens {
                self.writer.middle(out, |out| {
                    delta(out, event.output.token_text(token_idx));
                    out.extend_from_slice(br#"},"logprobs":null,"finish_reason":null,"token_ids":null}"#);
                });
            }
        }
        if event.is_last() {
            let last_text = n_tokens.checked_sub(1).map_or("", |last| event.output.token_text(last));
            self.writer.last(out, |out| {
                delta(out, last_text);
                let finish_reason = self.envelope.finish_reason(event.output.finish_reason());
                write_pair(out, r#"},"logprobs":null,"finish_reason":"#, finish_reason);
                write_pair(out, r#","stop_reason":"#, &event.output.stop_reason());
                out.extend_from_slice(br#","token_ids":null,"weight_versions":null}"#);
            });
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.include_usage {
            self.writer.usage(out, &self.envelope, self.completion_tokens);
        }
    }
}
