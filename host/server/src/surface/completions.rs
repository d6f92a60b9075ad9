//! `POST /v1/completions`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::{CompletionOutput, DueTokens, Prompt, PromptContent, Tokenizer};
use serde::Serialize;

use super::openai::{
    Answer, ChunkWriter, Envelope, Logprobs, RequestFacts, Run, Streaming, TextLogprobs, TokenCounts, collect,
    write_number, write_pair,
};
use crate::generate::sse::{self, Chunks};
use crate::generate::validate;
use crate::replica::Replica;
use crate::surface::openai::body::{CompletionRequest, json_object};
use crate::telemetry::logs::requests::RequestLog;
use crate::wire::errors::ApiError;

/// Continues one or more prompts, in one piece or as a stream.
pub async fn create(
    State(replica): State<Arc<Replica>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = CompletionRequest::read(&json_object(&headers, &body)?, &replica.limits)?;
    let answering = replica.load.begin();
    let (transfer, streaming) = (request.common.transfer, Streaming::of(&request.common, &replica));
    let (echo, logprobs) = (request.echo, Logprobs::of(&request.common, &replica));
    let strategies = replica.routing.strategies(request.common.model.as_deref(), &headers)?;
    let request = validate::completion(request, &headers, &body, &replica)?;
    let (stream, n_choices, facts) = (request.streaming, request.n_choices(), RequestFacts::of(&request));
    let echoes = if echo {
        Echoes::new(&request.prompts, request.sampling.n, &**replica.prompts.tokenizer())
    } else {
        Echoes::none()
    };

    let log = RequestLog::of(&request, &replica.log);
    let output = replica.engine.submit(request, strategies)?;
    let envelope = Envelope::new("cmpl-", output.request_id(), facts, transfer, &replica);
    log.accepted(&envelope.id);
    if stream {
        let chunks = TextChunks::new(envelope, echoes, n_choices, streaming, logprobs);
        return sse::respond(output, chunks, replica.answers.keep_alive, answering).await;
    }
    let (outputs, counts) = collect(output, n_choices, &envelope).await?;
    let choice = |(index, output): (u32, &Arc<CompletionOutput>)| {
        let mut offset = echoes.before(index).chars().count();
        let logprobs = logprobs.text(output, 0..output.n_tokens(), &mut offset);
        TextChoice::new(index, output, &echoes, logprobs, &envelope)
    };
    let choices = (0..).zip(&outputs).map(choice).collect();
    Ok(Json(Answer::new("text_completion", envelope, counts, choices, None)).into_response())
}

/// What `echo` puts before each answer: the prompt, token ids decoded.
struct Echoes {
    prompts: Vec<String>,
    n: u32,
}

impl Echoes {
    fn none() -> Self {
        Self { prompts: Vec::new(), n: 1 }
    }

    fn new(prompts: &[Prompt], n: u32, tokenizer: &dyn Tokenizer) -> Self {
        let text = |prompt: &Prompt| match &prompt.content {
            PromptContent::Text(text) => text.clone(),
            PromptContent::TokenIds(ids) => tokenizer.decode(ids),
            PromptContent::Chat(_) => String::new(),
        };
        Self { prompts: prompts.iter().map(text).collect(), n }
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

/// `text_completion` chunks.
struct TextChunks {
    writer: ChunkWriter,
    envelope: Envelope,
    echoes: Echoes,
    /// By choice: whether its first chunk, which carries the echo, was written.
    begun: Vec<bool>,
    logprobs: Logprobs,
    /// By choice: characters of its text that were written, echo included.
    offsets: Vec<usize>,
    streaming: Streaming,
    counts: TokenCounts,
}

impl TextChunks {
    fn new(envelope: Envelope, echoes: Echoes, n_choices: u32, streaming: Streaming, logprobs: Logprobs) -> Self {
        let writer = ChunkWriter::new("text_completion", &envelope, streaming.include_usage);
        let begun = vec![false; n_choices as usize];
        let offsets = (0..n_choices).map(|choice| echoes.before(choice).chars().count()).collect();
        Self { writer, envelope, echoes, begun, logprobs, offsets, streaming, counts: TokenCounts::default() }
    }
}

impl Chunks for TextChunks {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope);
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
        if self.streaming.include_usage {
            self.writer.usage(out, &self.envelope, self.counts);
        }
    }
}
