//! `POST /v1/chat/completions`.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::request::ToolChoice;
use rehearsal_engine::{CompletionOutput, DueTokens, OutputCall};
use serde::Serialize;

use super::openai::{
    Answer, ChatLogprobs, ChatOnly, ChunkWriter, Envelope, Logprobs, RequestFacts, Run, Streaming, TokenCounts,
    collect, write_number, write_pair,
};
use crate::generate::sse::{self, Chunks};
use crate::generate::validate;
use crate::replica::Replica;
use crate::surface::openai::body::{ChatCompletionRequest, json_object};
use crate::telemetry::logs::requests::RequestLog;
use crate::wire::errors::ApiError;

/// Answers a conversation, in one piece or as a stream.
pub async fn create(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = ChatCompletionRequest::read(&json_object(&headers, &body)?, &replica.limits)?;
    let answering = replica.load.begin();
    let (transfer, streaming) = (request.common.transfer, Streaming::of(&request.common, &replica));
    let strategies = replica.routing.strategies(request.common.model.as_deref(), &headers)?;
    let shows = Shows { reasoning: request.include_reasoning, logprobs: Logprobs::of(&request.common, &replica) };
    let role = request.continued_role.clone().unwrap_or_else(|| replica.answers.role.clone());
    let request = validate::chat(request, &headers, &body, &replica)?;
    let (stream, n_choices, facts) = (request.streaming, request.n_choices(), RequestFacts::of(&request));
    // Beside calls that were demanded, vLLM's content is empty; beside calls that the model chose, there is none.
    let chooses_freely = request.wishes.tool_choice == ToolChoice::Auto;
    let log = RequestLog::of(&request, &replica.log);

    let output = replica.engine.submit(request, strategies)?;
    let envelope = Envelope::new("chatcmpl-", output.request_id(), facts, transfer, &replica);
    log.accepted(&envelope.id);
    if stream {
        let chunks = ChatChunks::new(envelope, role, n_choices, streaming, shows);
        return sse::respond(output, chunks, replica.answers.keep_alive, answering).await;
    }
    let (outputs, counts) = collect(output, n_choices, &envelope).await?;
    let choice = |(index, output): (u32, &Arc<CompletionOutput>)| {
        let message = Message::new(output, role.clone(), chooses_freely, shows.reasoning);
        ChatChoice::new(index, output, message, &shows, &envelope)
    };
    let choices = (0..).zip(&outputs).map(choice).collect();
    Ok(Json(Answer::new("chat.completion", envelope, counts, choices, Some(ChatOnly::default()))).into_response())
}

/// What a request wants to see of its answer.
struct Shows {
    reasoning: bool,
    logprobs: Logprobs,
}

impl Shows {
    /// Log-probabilities of tokens, but for those of reasoning that is not shown.
    fn logprobs(&self, output: &CompletionOutput, tokens: Range<usize>) -> Option<ChatLogprobs> {
        let first = if self.reasoning { 0 } else { output.n_reasoning_tokens() };
        self.logprobs.chat(output, tokens.start.max(first)..tokens.end)
    }
}

#[derive(Debug, Serialize)]
struct ChatChoice {
    index: u32,
    message: Message,
    logprobs: Option<ChatLogprobs>,
    finish_reason: String,
    stop_reason: Option<String>,
    token_ids: Option<()>,
    routed_experts: Option<()>,
    weight_versions: Option<()>,
}

#[derive(Debug, Serialize)]
struct Message {
    role: String,
    content: Option<String>,
    refusal: Option<()>,
    annotations: Option<()>,
    audio: Option<()>,
    function_call: Option<()>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
    reasoning: Option<String>,
}

#[derive(Debug, Serialize)]
struct Call {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Debug, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

impl Call {
    fn new(call: &OutputCall) -> Self {
        let function = Function { name: call.name.clone(), arguments: call.arguments.clone() };
        Self { id: call.id.clone(), kind: "function", function }
    }
}

impl Message {
    fn new(output: &CompletionOutput, role: String, chooses_freely: bool, shows_reasoning: bool) -> Self {
        let tool_calls: Vec<_> = output.tool_calls().map(Call::new).collect();
        // Nor is there any where the output ended while it was still thinking.
        let may_have_none = (chooses_freely && !tool_calls.is_empty()) || output.reasoning().is_some();
        let has_no_content = may_have_none && output.text().is_empty();
        Self {
            role,
            content: (!has_no_content).then(|| output.text().to_owned()),
            refusal: None,
            annotations: None,
            audio: None,
            function_call: None,
            tool_calls,
            reasoning: output.reasoning().filter(|_| shows_reasoning).map(str::to_owned),
        }
    }
}

impl ChatChoice {
    fn new(index: u32, output: &CompletionOutput, message: Message, shows: &Shows, envelope: &Envelope) -> Self {
        Self {
            index,
            message,
            logprobs: shows.logprobs(output, 0..output.n_tokens()),
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
    role: String,
    n_choices: u32,
    streaming: Streaming,
    shows: Shows,
    counts: TokenCounts,
}

impl ChatChunks {
    fn new(envelope: Envelope, role: String, n_choices: u32, streaming: Streaming, shows: Shows) -> Self {
        let writer = ChunkWriter::new("chat.completion.chunk", &envelope, streaming.include_usage);
        Self { writer, envelope, role, n_choices, streaming, shows, counts: TokenCounts::default() }
    }
}

impl Chunks for ChatChunks {
    /// One chunk for each choice says who speaks.
    fn begin(&mut self, out: &mut Vec<u8>) {
        for index in 0..self.n_choices {
            self.writer.special(out, r#"],"prompt_token_ids":null,"prompt_text":null}"#, |out| {
                write_number(out, r#"{"index":"#, index);
                write_pair(out, r#","delta":{"role":"#, &self.role);
                out.extend_from_slice(br#","content":""},"logprobs":null,"finish_reason":null}"#);
            });
        }
    }

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope);
        let n_tokens = event.output.n_tokens();
        self.streaming.each_run(event, |run, tokens| {
            let is_last = tokens.end == n_tokens;
            let logprobs = self.shows.logprobs(&event.output, tokens);
            let run = Some(run).filter(|run| self.shows.reasoning || !matches!(run, Run::Reasoning(_)));
            // What is not shown has no chunk, but for one that ends a choice.
            if run.is_none() && !is_last {
                return;
            }
            if !is_last {
                return self.writer.middle(out, |out| {
                    write_delta(out, event, run);
                    write_pair(out, r#","logprobs":"#, &logprobs);
                    out.extend_from_slice(br#","finish_reason":null,"token_ids":null}"#);
                });
            }
            self.writer.last(out, |out| {
                write_delta(out, event, run);
                let finish_reason = self.envelope.finish_reason(event.output.finish_reason());
                write_pair(out, r#","logprobs":"#, &logprobs);
                write_pair(out, r#","finish_reason":"#, finish_reason);
                write_pair(out, r#","stop_reason":"#, &event.output.stop_reason());
                out.extend_from_slice(br#","token_ids":null,"weight_versions":null}"#);
            });
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.streaming.include_usage {
            self.writer.usage(out, &self.envelope, self.counts);
        }
    }
}

/// What a run of tokens adds: text, the beginning of a call, or more of its arguments; nothing if it is not shown.
fn write_delta(out: &mut Vec<u8>, event: &DueTokens, run: Option<&Run<'_>>) {
    write_number(out, r#"{"index":"#, event.choice);
    let Some(run) = run else { return out.extend_from_slice(br#","delta":{}"#) };
    match run {
        Run::Reasoning(text) => write_pair(out, r#","delta":{"reasoning":"#, text),
        Run::Content(text) => write_pair(out, r#","delta":{"content":"#, text),
        Run::CallStart { call_idx } => {
            let call = event.output.tool_calls().nth(*call_idx);
            let (id, name) = call.map_or_else(Default::default, |call| (call.id.as_str(), call.name.as_str()));
            write_pair(out, r#","delta":{"tool_calls":[{"id":"#, id);
            write_number(out, r#","type":"function","index":"#, *call_idx as u32);
            write_pair(out, r#","function":{"name":"#, name);
            out.extend_from_slice(br#","arguments":""}}]"#);
        }
        Run::Arguments { call_idx, text } => {
            write_number(out, r#","delta":{"tool_calls":[{"index":"#, *call_idx as u32);
            write_pair(out, r#","function":{"arguments":"#, text);
            out.extend_from_slice(b"}}]");
        }
    }
    out.push(b'}');
}
