//! `POST /v1/chat/completions`.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::request::{ToolChoice, Wishes};
use rehearsal_engine::{CompletionOutput, DueTokens, Endpoint, OutputCall};
use serde::Serialize;
use serde_json::{Map, Value};

use super::openai::{
    Body, ChatLogprobs, ChatOnly, ChunkWriter, Logprobs, Shown, Usage, body, conversation, write_number, write_pair,
};
use crate::config::RequestLimits;
use crate::generate::{Answer, Envelope, Events, Incoming, Run, Streaming, Surface, TokenCounts};
use crate::prompts::Input;
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, integer};

/// Answers a conversation.
pub struct ChatCompletions {
    shown: Shown,
    /// Show the reasoning.
    reasoning: bool,
    /// Log-probabilities of so many tokens at each position.
    n_logprobs: Option<usize>,
    /// The role of the last message, if the answer continues that; `None`: the server's usual role.
    continued_role: Option<String>,
    /// The model may choose to call tools.
    chooses_freely: bool,
}

impl Surface for ChatCompletions {
    const ID_PREFIX: &'static str = "chatcmpl-";
    type Events = ChatChunks;

    /// Contradictions that vLLM finds first are found first; then all wrong types together.
    fn read(object: Map<String, Value>, limits: &RequestLimits) -> Result<(Self, Incoming), ApiError> {
        body::check_stream_options(&object, false)?;
        check_logprobs(&object)?;
        body::check_raw(&object)?;
        check_tools(&object)?;
        let mut fields = Fields::of_body(&object);
        let conversation = conversation::read(&mut fields);
        let continued = conversation.messages.last().filter(|_| !conversation.add_generation_prompt);
        let continued_role = continued.map(|message| message.role.clone());
        let max_tokens = ["max_completion_tokens", "max_tokens"].map(|name| Some((name, fields.integer(name)?)));
        let max_tokens = max_tokens.into_iter().flatten().next();
        let input = Input::Conversation(Box::new(conversation.clone()));
        let (mut incoming, shown) = body::read(&mut fields, Endpoint::ChatCompletions, input, max_tokens, limits);
        let top_logprobs = fields.integer("top_logprobs").unwrap_or(0);
        incoming.sampling.logprobs = fields.switch("logprobs").then_some(("top_logprobs", top_logprobs));
        let tools = conversation::tools(&mut fields);
        incoming.wishes = Wishes {
            tool_choice: conversation::tool_choice(&mut fields, !tools.is_empty()),
            tools,
            parallel_tool_calls: fields.switch_or("parallel_tool_calls", true),
            format: body::format(&mut fields),
            reasoning_effort: fields
                .word("reasoning_effort", &["none", "minimal", "low", "medium", "high", "xhigh", "max"])
                .map(str::to_owned),
        };
        let reasoning = fields.switch_or("include_reasoning", true);
        fields.finish()?;
        conversation::check(&conversation)?;
        let surface = Self {
            shown,
            reasoning,
            n_logprobs: incoming.sampling.n_logprobs(),
            continued_role,
            // Beside calls that were demanded, vLLM's content is empty; beside calls that the model chose, there is none.
            chooses_freely: incoming.wishes.tool_choice == ToolChoice::Auto,
        };
        Ok((surface, incoming))
    }

    fn whole(self, answer: &Answer) -> Response {
        let Answer { envelope, outputs, .. } = answer;
        let shows = self.shows(envelope);
        let role = self.role(envelope);
        let choice = |(index, output): (u32, &Arc<CompletionOutput>)| {
            let message = Message::new(output, role.clone(), self.chooses_freely, shows.reasoning);
            ChatChoice::new(index, output, message, &shows, envelope)
        };
        let choices = (0..).zip(outputs).map(choice).collect();
        Json(Body::new("chat.completion", answer, choices, Some(ChatOnly::default()))).into_response()
    }

    fn events(self, envelope: Envelope) -> ChatChunks {
        let include_usage = self.shown.include_usage(&envelope);
        ChatChunks {
            writer: ChunkWriter::new("chat.completion.chunk", &envelope, include_usage),
            role: self.role(&envelope),
            shows: self.shows(&envelope),
            streaming: Streaming::new(self.shown.stream_interval, &envelope.config),
            include_usage,
            counts: TokenCounts::default(),
            envelope,
        }
    }
}

impl ChatCompletions {
    fn role(&self, envelope: &Envelope) -> String {
        self.continued_role.clone().unwrap_or_else(|| envelope.config.role.clone())
    }

    fn shows(&self, envelope: &Envelope) -> Shows {
        Shows { reasoning: self.reasoning, logprobs: Logprobs::new(self.n_logprobs, envelope) }
    }
}

fn check_logprobs(object: &Map<String, Value>) -> Result<(), ApiError> {
    let top_logprobs = object.get("top_logprobs").and_then(|value| integer(value).ok()).unwrap_or(0);
    if top_logprobs < -1 {
        return Err(ApiError::invalid_value("top_logprobs", top_logprobs, "top_logprobs must be -1 or more"));
    }
    if top_logprobs != 0 && object.get("logprobs") != Some(&Value::Bool(true)) {
        return Err(ApiError::invalid_param("top_logprobs", "top_logprobs needs `logprobs` to be true"));
    }
    Ok(())
}

fn check_tools(object: &Map<String, Value>) -> Result<(), ApiError> {
    let tools = object.get("tools").filter(|tools| !tools.is_null());
    if tools.and_then(Value::as_array).is_some_and(Vec::is_empty) {
        return Err(ApiError::invalid_param("tools", "tools must not be an empty list: name a tool or leave it out"));
    }
    let choice = object.get("tool_choice").filter(|choice| !choice.is_null());
    if tools.is_none() && choice.is_some_and(|choice| choice != "none") {
        return Err(ApiError::invalid_param("tool_choice", "tool_choice needs `tools`"));
    }
    Ok(())
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

/// Writes `chat.completion.chunk`s.
pub struct ChatChunks {
    writer: ChunkWriter,
    envelope: Envelope,
    role: String,
    streaming: Streaming,
    include_usage: bool,
    shows: Shows,
    counts: TokenCounts,
}

impl Events for ChatChunks {
    /// One chunk for each choice says who speaks.
    fn begin(&mut self, out: &mut Vec<u8>) {
        for index in 0..self.envelope.request.n_choices() {
            self.writer.special(out, r#"],"prompt_token_ids":null,"prompt_text":null}"#, |out| {
                write_number(out, r#"{"index":"#, index);
                write_pair(out, r#","delta":{"role":"#, &self.role);
                out.extend_from_slice(br#","content":""},"logprobs":null,"finish_reason":null}"#);
            });
        }
    }

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope.request);
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
        if self.include_usage {
            self.writer.usage(out, Usage::new(&self.envelope, self.counts));
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
