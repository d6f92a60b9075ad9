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
    Body, ChatLogprobs, ChatOnly, ChunkWriter, Logprobs, Shown, Usage, body, checks, conversation, fields, json,
    stop_reason, write_number, write_pair,
};
use crate::config::RequestLimits;
use crate::generate::{Answer, Envelope, Events, Incoming, Run, Streaming, Surface, TokenCounts};
use crate::prompts::Input;
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, is_truthy};
use crate::wire::schema;

/// Answers a conversation.
pub struct ChatCompletions {
    shown: Shown,
    /// Show the reasoning.
    reasoning: bool,
    /// The role of the last message, if the answer continues that; `None`: the server's usual role.
    continued_role: Option<String>,
    /// The model may choose to call tools.
    chooses_freely: bool,
    /// Role and text of the last message, if the answer is to begin with it again.
    echo: Option<(String, String)>,
    /// Show what the chat template made of the conversation.
    prompt_text: bool,
}

impl Surface for ChatCompletions {
    const ID_PREFIX: &'static str = "chatcmpl-";
    type Events = ChatChunks;

    fn read(mut object: Map<String, Value>, limits: &RequestLimits) -> Result<(Self, Incoming), ApiError> {
        checks::messages(&object)?;
        checks::generation_prompt(&object)?;
        checks::tools(&object)?;
        if is_truthy(object.get("tools")) {
            // vLLM puts it there, which shows where an error counts fields.
            object.entry("tool_choice").or_insert("auto".into());
        }
        checks::structured_outputs(&object, None)?;
        checks::logprobs(&object, &["prompt_logprobs", "top_logprobs"])?;
        checks::stream_options(&object)?;
        checks::response_format(&object)?;
        checks::tool_calls(&object)?;
        checks::cache_salt(&object)?;
        checks::thinking_token_budget(&object)?;
        schema::check(&object, fields::CHAT, limits).or_ok()?;
        checks::calls_of_assistants(&object, limits)?;
        let fields = Fields(&object);
        let effort = fields.text("reasoning_effort");
        let conversation = conversation::read(fields).with_effort(effort);
        let effort = if conversation.forbids_thinking() { Some("none") } else { effort };
        let echoed = conversation.messages.last().filter(|_| fields.switch("echo")).map(|last| last.role.clone());
        let echo = echoed.and_then(|role| Some((role, conversation.messages.last()?.texts().collect::<String>())));
        let continued = conversation.messages.last().filter(|_| !conversation.add_generation_prompt);
        let continued_role = continued.map(|message| message.role.clone());
        let max_tokens = ["max_completion_tokens", "max_tokens"].map(|name| Some((name, fields.integer(name)?)));
        let max_tokens = max_tokens.into_iter().flatten().next();
        let top_logprobs = fields.integer("top_logprobs").unwrap_or(0);
        let logprobs = fields.switch("logprobs").then_some(("top_logprobs", top_logprobs));
        let input = Input::Conversation(Box::new(conversation));
        let (mut incoming, shown) = body::read(fields, Endpoint::ChatCompletions, input, max_tokens, logprobs);
        let tools = conversation::tools(fields);
        incoming.wishes = Wishes {
            tool_choice: conversation::tool_choice(fields, !tools.is_empty()),
            tools,
            parallel_tool_calls: fields.switch_or("parallel_tool_calls", true),
            format: body::format(fields)?,
            reasoning_effort: effort.map(str::to_owned),
        };
        let prompt_text = fields.switch("return_prompt_text");
        incoming.wants_token_ids |= prompt_text;
        let surface = Self {
            shown,
            echo,
            prompt_text,
            reasoning: fields.switch_or("include_reasoning", true),
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
            let echo = shows.echo.as_deref().unwrap_or_default();
            let message = Message::new(output, role.clone(), self.chooses_freely, shows.reasoning, echo);
            ChatChoice::new(index, output, message, &shows, envelope)
        };
        let choices = (0..).zip(outputs).map(choice).collect();
        let prompt = &envelope.request.prompts[0];
        let ids = prompt.token_ids.clone();
        let chat_only = ChatOnly {
            prompt_logprobs: shows.logprobs.of_prompt(&ids),
            prompt_text: self.prompt_text.then(|| envelope.tokenizer.decode(&ids)),
            prompt_token_ids: self.shown.token_ids.then_some(ids),
        };
        Json(Body::new("chat.completion", answer, choices, Some(chat_only))).into_response()
    }

    fn events(self, envelope: Envelope) -> ChatChunks {
        let include_usage = self.shown.include_usage(&envelope);
        let prompt = &envelope.request.prompts[0];
        let prompt_token_ids = self.shown.token_ids.then(|| prompt.token_ids.clone());
        let prompt_text = self.prompt_text.then(|| envelope.tokenizer.decode(&prompt.token_ids));
        ChatChunks {
            role_tail: format!(
                r#","prompt_token_ids":{},"prompt_text":{}}}"#,
                json(&prompt_token_ids),
                json(&prompt_text)
            ),
            continuous_usage: self.shown.continuous_usage(&envelope),
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
        let role = self.role(envelope);
        Shows {
            reasoning: self.reasoning,
            logprobs: Logprobs::new(&self.shown, envelope),
            token_ids: self.shown.token_ids,
            echo: self.echo.as_ref().filter(|(echoed, _)| *echoed == role).map(|(_, text)| text.clone()),
        }
    }
}

/// What a request wants to see of its answer.
struct Shows {
    reasoning: bool,
    logprobs: Logprobs,
    token_ids: bool,
    /// What is put before the content.
    echo: Option<String>,
}

impl Shows {
    /// Log-probabilities of tokens, but for those of reasoning that is not shown.
    fn logprobs(&self, output: &CompletionOutput, tokens: Range<usize>) -> Option<ChatLogprobs> {
        let first = if self.reasoning { 0 } else { output.n_reasoning_tokens() };
        self.logprobs.chat(output, tokens.start.max(first)..tokens.end)
    }

    /// Ids of tokens, likewise.
    fn token_ids<'a>(&self, output: &'a CompletionOutput, tokens: Range<usize>) -> Option<&'a [u32]> {
        let first = if self.reasoning { 0 } else { output.n_reasoning_tokens() };
        let ids = output.token_ids();
        self.token_ids.then(|| ids.get(tokens.start.max(first)..tokens.end).unwrap_or_default())
    }
}

#[derive(Debug, Serialize)]
struct ChatChoice {
    index: u32,
    message: Message,
    logprobs: Option<ChatLogprobs>,
    finish_reason: String,
    stop_reason: Value,
    token_ids: Option<Vec<u32>>,
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
    fn new(output: &CompletionOutput, role: String, chooses_freely: bool, shows_reasoning: bool, echo: &str) -> Self {
        let tool_calls: Vec<_> = output.tool_calls().map(Call::new).collect();
        // Nor is there any where the output ended while it was still thinking.
        let may_have_none = (chooses_freely && !tool_calls.is_empty()) || output.reasoning().is_some();
        let has_no_content = may_have_none && output.text().is_empty() && echo.is_empty();
        Self {
            role,
            content: (!has_no_content).then(|| [echo, output.text()].concat()),
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
            stop_reason: stop_reason(output),
            token_ids: shows.token_ids(output, 0..output.n_tokens()).map(<[u32]>::to_vec),
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
    /// What ends the first chunk of all.
    role_tail: String,
    streaming: Streaming,
    include_usage: bool,
    continuous_usage: bool,
    shows: Shows,
    counts: TokenCounts,
}

impl ChatChunks {
    fn usage_so_far(&self, completion_tokens: usize) -> Option<String> {
        self.continuous_usage.then(|| Usage::so_far(&self.envelope, completion_tokens))
    }
}

impl Events for ChatChunks {
    /// One chunk for each choice names the role, and perhaps one more repeats what was said.
    fn begin(&mut self, out: &mut Vec<u8>) {
        const NO_PROMPT: &str = r#","prompt_token_ids":null,"prompt_text":null}"#;
        let usage = self.usage_so_far(0);
        let delta = |index: u32, role: &str, text: &str, out: &mut Vec<u8>| {
            write_number(out, r#"{"index":"#, index);
            write_pair(out, r#","delta":{"role":"#, role);
            write_pair(out, r#","content":"#, text);
            out.extend_from_slice(br#"},"logprobs":null,"finish_reason":null}"#);
        };
        for index in 0..self.envelope.request.n_choices() {
            let tail = if index == 0 { &self.role_tail } else { NO_PROMPT };
            self.writer.special(out, usage.as_deref(), tail, |out| delta(index, &self.role, "", out));
        }
        let Some(echo) = self.shows.echo.as_deref().filter(|echo| !echo.is_empty()) else { return };
        for index in 0..self.envelope.request.n_choices() {
            self.writer.special(out, usage.as_deref(), "}", |out| {
                write_number(out, r#"{"index":"#, index);
                write_pair(out, r#","delta":{"content":"#, echo);
                out.extend_from_slice(br#"},"logprobs":null,"finish_reason":null}"#);
            });
        }
    }

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope);
        let n_tokens = event.output.n_tokens();
        self.streaming.each_run(event, |run, tokens| {
            let is_last = tokens.end == n_tokens;
            let usage = self.usage_so_far(tokens.end);
            let logprobs = self.shows.logprobs(&event.output, tokens.clone());
            let token_ids = self.shows.token_ids(&event.output, tokens);
            let run = Some(run).filter(|run| self.shows.reasoning || !matches!(run, Run::Reasoning(_)));
            // What is not shown has no chunk, but for one that ends a choice.
            if run.is_none() && !is_last {
                return;
            }
            self.writer.of_choice(out, usage.as_deref(), is_last, |out| {
                write_delta(out, event, run);
                write_pair(out, r#","logprobs":"#, &logprobs);
                if !is_last {
                    write_pair(out, r#","finish_reason":null,"token_ids":"#, &token_ids);
                    return out.push(b'}');
                }
                let finish_reason = self.envelope.finish_reason(event.output.finish_reason());
                write_pair(out, r#","finish_reason":"#, finish_reason);
                write_pair(out, r#","stop_reason":"#, &stop_reason(&event.output));
                write_pair(out, r#","token_ids":"#, &token_ids);
                out.extend_from_slice(br#","weight_versions":null}"#);
            });
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.include_usage {
            let (usage, metrics) = (Usage::new(&self.envelope, self.counts), self.envelope.metrics(&self.counts));
            self.writer.usage(out, usage, metrics);
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
