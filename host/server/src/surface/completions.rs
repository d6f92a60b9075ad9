//! `POST /v1/completions`.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::{CompletionOutput, DueTokens, Endpoint, Prompt, PromptContent};
use serde::Serialize;
use serde_json::{Map, Value};

use super::openai::{Body, ChunkWriter, Logprobs, Shown, TextLogprobs, Usage, body, write_number, write_pair};
use crate::config::RequestLimits;
use crate::generate::{Answer, Envelope, Events, Incoming, Run, Streaming, Surface, TokenCounts};
use crate::prompts::{Input, PromptInput};
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, integer};

/// Continues one or more prompts.
pub struct Completions {
    shown: Shown,
    /// Put the prompt before the answer.
    echo: bool,
    /// Log-probabilities of so many tokens at each position.
    n_logprobs: Option<usize>,
}

impl Surface for Completions {
    const ID_PREFIX: &'static str = "cmpl-";
    type Events = TextChunks;

    /// Contradictions that vLLM finds first are found first; then all wrong types together.
    fn read(object: Map<String, Value>, limits: &RequestLimits) -> Result<(Self, Incoming), ApiError> {
        check_prompt_is_there(&object, limits.prompts)?;
        body::check_stream_options(&object, true)?;
        let logprobs = object.get("logprobs").and_then(|value| integer(value).ok());
        if let Some(logprobs) = logprobs.filter(|logprobs| *logprobs < -1) {
            return Err(ApiError::invalid_value("logprobs", logprobs, "logprobs must be -1 or more"));
        }
        body::check_raw(&object)?;
        let mut fields = Fields::of_body(&object);
        let input = Input::Prompts(prompts(&mut fields));
        let echo = fields.switch("echo");
        let max_tokens = fields.integer("max_tokens").map(|max_tokens| ("max_tokens", max_tokens));
        let (mut incoming, shown) = body::read(&mut fields, Endpoint::Completions, input, max_tokens, limits);
        incoming.wishes.format = body::format(&mut fields);
        incoming.sampling.logprobs = fields.integer("logprobs").map(|logprobs| ("logprobs", logprobs));
        // An echo may ask for the prompt alone.
        incoming.sampling.least_max_tokens = if echo { 0 } else { 1 };
        let suffix = fields.string("suffix");
        fields.finish()?;
        if suffix.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(ApiError::invalid_param("suffix", "suffix needs a model that fills in the middle"));
        }
        Ok((Self { shown, echo, n_logprobs: incoming.sampling.n_logprobs() }, incoming))
    }

    fn whole(self, answer: &Answer) -> Response {
        let Answer { envelope, outputs, .. } = answer;
        let (echoes, logprobs) = (Echoes::new(envelope, self.echo), Logprobs::new(self.n_logprobs, envelope));
        let choice = |(index, output): (u32, &Arc<CompletionOutput>)| {
            let mut offset = echoes.before(index).chars().count();
            let logprobs = logprobs.text(output, 0..output.n_tokens(), &mut offset);
            TextChoice::new(index, output, &echoes, logprobs, envelope)
        };
        let choices = (0..).zip(outputs).map(choice).collect();
        Json(Body::new("text_completion", answer, choices, None)).into_response()
    }

    fn events(self, envelope: Envelope) -> TextChunks {
        let (echoes, n_choices) = (Echoes::new(&envelope, self.echo), envelope.request.n_choices());
        let include_usage = self.shown.include_usage(&envelope);
        TextChunks {
            writer: ChunkWriter::new("text_completion", &envelope, include_usage),
            begun: vec![false; n_choices as usize],
            logprobs: Logprobs::new(self.n_logprobs, &envelope),
            offsets: (0..n_choices).map(|choice| echoes.before(choice).chars().count()).collect(),
            echoes,
            streaming: Streaming::new(self.shown.stream_interval, &envelope.config),
            include_usage,
            counts: TokenCounts::default(),
            envelope,
        }
    }
}

fn check_prompt_is_there(object: &Map<String, Value>, most: usize) -> Result<(), ApiError> {
    match object.get("prompt") {
        None | Some(Value::Null) => Err(ApiError::invalid_param("prompt", "prompt must be given and not be empty")),
        Some(Value::String(prompt)) if prompt.is_empty() => {
            Err(ApiError::invalid_param("prompt", "prompt must be given and not be empty"))
        }
        Some(Value::Array(prompts)) if prompts.is_empty() => Err(ApiError::invalid("the prompt cannot be empty")),
        Some(Value::Array(prompts)) if prompts.len() > most && !prompts[0].is_number() => {
            let message = format!(
                "prompt has {} prompts, at most {most} are allowed by VLLM_MAX_COMPLETION_PROMPTS",
                prompts.len()
            );
            Err(ApiError::invalid_param("prompt", message))
        }
        Some(_) => Ok(()),
    }
}

/// The form is decided by the first element, as in a union of four.
fn prompts(fields: &mut Fields<'_>) -> Vec<PromptInput> {
    let value = fields.raw("prompt");
    match value {
        Some(Value::String(text)) => vec![PromptInput::Text(text.clone())],
        Some(Value::Array(list)) => match list.first() {
            Some(Value::String(_)) => texts(fields, list),
            Some(Value::Array(_)) => list
                .iter()
                .enumerate()
                .filter_map(|(index, ids)| token_ids(fields, &format!("prompt.{index}"), ids))
                .collect(),
            _ => token_ids(fields, "prompt", value.unwrap_or(&Value::Null)).into_iter().collect(),
        },
        Some(other) => {
            fields.error("prompt", "list_type", "expected a string, strings, token ids or lists of token ids", other);
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn texts(fields: &mut Fields<'_>, list: &[Value]) -> Vec<PromptInput> {
    let mut prompts = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        match value.as_str() {
            Some(text) => prompts.push(PromptInput::Text(text.to_owned())),
            None => fields.error(&format!("prompt.{index}"), "string_type", "expected a string like the first", value),
        }
    }
    prompts
}

fn token_ids(fields: &mut Fields<'_>, at: &str, value: &Value) -> Option<PromptInput> {
    let Some(list) = value.as_array() else {
        fields.error(at, "list_type", "expected a list of token ids like the first", value);
        return None;
    };
    let mut ids = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let at = format!("{at}.{index}");
        match integer(value) {
            Ok(id) if id < 0 => fields.error(&at, "greater_than_equal", "expected at least 0", value),
            Ok(id) => ids.push(id),
            Err((kind, message)) => fields.error(&at, kind, message, value),
        }
    }
    Some(PromptInput::TokenIds(ids))
}

/// What `echo` puts before each answer: the prompt, token ids decoded.
struct Echoes {
    prompts: Vec<String>,
    n: u32,
}

impl Echoes {
    fn new(envelope: &Envelope, echo: bool) -> Self {
        let (request, tokenizer) = (&envelope.request, &envelope.tokenizer);
        let text = |prompt: &Prompt| match &prompt.content {
            PromptContent::Text(text) => text.clone(),
            PromptContent::TokenIds(ids) => tokenizer.decode(ids),
            PromptContent::Chat(_) => String::new(),
        };
        let echoed = request.prompts.iter().filter(|_| echo);
        Self { prompts: echoed.map(text).collect(), n: request.sampling.n }
    }

    /// What comes before the text of this choice.
    fn before(&self, choice: u32) -> &str {
        self.prompts.get((choice / self.n) as usize).map_or("", String::as_str)
    }
}

#[derive(Debug, Serialize)]
struct TextChoice {
    index: u32,
    text: String,
    logprobs: Option<TextLogprobs>,
    finish_reason: String,
    stop_reason: Option<String>,
    token_ids: Option<()>,
    prompt_logprobs: Option<()>,
    prompt_token_ids: Option<()>,
    routed_experts: Option<()>,
    weight_versions: Option<()>,
}

impl TextChoice {
    fn new(
        index: u32,
        output: &CompletionOutput,
        echoes: &Echoes,
        logprobs: Option<TextLogprobs>,
        envelope: &Envelope,
    ) -> Self {
        Self {
            index,
            text: [echoes.before(index), output.reasoning().unwrap_or_default(), output.text()].concat(),
            logprobs,
            finish_reason: envelope.finish_reason(output.finish_reason()).to_owned(),
            stop_reason: output.stop_reason().map(str::to_owned),
            token_ids: None,
            prompt_logprobs: None,
            prompt_token_ids: None,
            routed_experts: None,
            weight_versions: None,
        }
    }
}

/// Text completions offer no tools, so every token is text. Reasoning is too: here vLLM parses nothing.
fn text_of<'a>(run: &'a Run<'_>) -> &'a str {
    match run {
        Run::Reasoning(text) | Run::Content(text) | Run::Arguments { text, .. } => text,
        Run::CallStart { .. } => "",
    }
}

/// Writes `text_completion` chunks.
pub struct TextChunks {
    writer: ChunkWriter,
    envelope: Envelope,
    echoes: Echoes,
    /// By choice: whether its first chunk, which carries the echo, was written.
    begun: Vec<bool>,
    logprobs: Logprobs,
    /// By choice: characters of its text that were written, echo included.
    offsets: Vec<usize>,
    streaming: Streaming,
    include_usage: bool,
    counts: TokenCounts,
}

impl Events for TextChunks {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope.request);
        let (echoes, begun) = (&self.echoes, &mut self.begun[event.choice as usize]);
        let mut text = |out: &mut Vec<u8>, token: &str| {
            write_number(out, r#"{"index":"#, event.choice);
            let is_first = !std::mem::replace(begun, true);
            match if is_first { echoes.before(event.choice) } else { "" } {
                "" => write_pair(out, r#","text":"#, token),
                prompt => write_pair(out, r#","text":"#, &[prompt, token].concat()),
            }
        };
        const TAIL: &[u8] = br#","prompt_token_ids":null,"token_ids":null,"weight_versions":null}"#;
        let (n_tokens, offset) = (event.output.n_tokens(), &mut self.offsets[event.choice as usize]);
        self.streaming.each_run(event, |run, tokens| {
            let is_last = tokens.end == n_tokens;
            let logprobs = self.logprobs.text(&event.output, tokens, offset);
            if !is_last {
                return self.writer.middle(out, |out| {
                    text(out, text_of(run));
                    write_pair(out, r#","logprobs":"#, &logprobs);
                    out.extend_from_slice(br#","finish_reason":null,"stop_reason":null"#);
                    out.extend_from_slice(TAIL);
                });
            }
            self.writer.last(out, |out| {
                text(out, text_of(run));
                let finish_reason = self.envelope.finish_reason(event.output.finish_reason());
                write_pair(out, r#","logprobs":"#, &logprobs);
                write_pair(out, r#","finish_reason":"#, finish_reason);
                write_pair(out, r#","stop_reason":"#, &event.output.stop_reason());
                out.extend_from_slice(TAIL);
            });
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.include_usage {
            self.writer.usage(out, Usage::new(&self.envelope, self.counts));
        }
    }
}
