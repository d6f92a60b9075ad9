//! `POST /v1/completions`.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::{CompletionOutput, DueTokens, Endpoint, Prompt, PromptContent};
use serde::Serialize;
use serde_json::{Map, Value};

use super::openai::{
    Body, ChunkWriter, Logprobs, Shown, TextLogprobs, Usage, body, checks, fields, stop_reason, write_number,
    write_pair,
};
use crate::config::RequestLimits;
use crate::generate::{Answer, Envelope, Events, Incoming, Streaming, Surface, TokenCounts};
use crate::prompts::Input;
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, is_truthy};
use crate::wire::schema;

/// Continues one or more prompts.
pub struct Completions {
    shown: Shown,
    /// Put the prompt before the answer.
    echo: bool,
}

impl Surface for Completions {
    const ID_PREFIX: &'static str = "cmpl-";
    type Events = TextChunks;

    fn read(mut object: Map<String, Value>, limits: &RequestLimits) -> Result<(Self, Incoming), ApiError> {
        checks::prompt(&object, limits)?;
        checks::stream_options(&object)?;
        checks::logprobs(&object, &["prompt_logprobs", "logprobs"])?;
        checks::structured_outputs(&object, Some("structured_outputs"))?;
        checks::response_format(&object)?;
        checks::cache_salt(&object)?;
        checks::thinking_token_budget(&object)?;
        let max_tokens = Fields(&object).integer("max_tokens").map(|max_tokens| ("max_tokens", max_tokens));
        // vLLM puts it there, which shows where an error counts fields. Here a text may be as long as a chat's answer.
        object.entry("max_tokens").or_insert(Value::Null);
        schema::check(&object, fields::COMPLETION, limits).or_ok()?;
        let fields = Fields(&object);
        if is_truthy(fields.raw("prompt_embeds")) {
            return Err(ApiError::invalid_param("prompt_embeds", "prompt_embeds are not simulated"));
        }
        if fields.raw("suffix").is_some() {
            return Err(ApiError::invalid_param("suffix", "suffix needs a model that fills in the middle"));
        }
        if fields.switch("stream") && fields.switch("use_beam_search") {
            return Err(ApiError::invalid("a beam search cannot be streamed"));
        }
        let echo = fields.switch("echo");
        let logprobs = fields.integer("logprobs").map(|logprobs| ("logprobs", logprobs));
        let input = Input::Prompts(body::prompts(object.get("prompt")));
        let (mut incoming, shown) = body::read(fields, Endpoint::Completions, input, max_tokens, logprobs);
        incoming.wishes.format = body::format(fields)?;
        // An echo may ask for the prompt alone.
        incoming.sampling.least_max_tokens = if echo { 0 } else { 1 };
        Ok((Self { shown, echo }, incoming))
    }

    fn whole(self, answer: &Answer) -> Response {
        let Answer { envelope, outputs, .. } = answer;
        let (echoes, logprobs) = (Echoes::new(envelope, self.echo), Logprobs::new(&self.shown, envelope));
        let choice = |(index, output): (u32, &Arc<CompletionOutput>)| {
            let mut offset = echoes.before(index).chars().count();
            let ids = &envelope.prompt(index).token_ids;
            let of_answer = logprobs.text(output, 0..output.n_tokens(), &mut offset);
            let logprobs_shown = if self.echo { logprobs.with_echo(ids, of_answer) } else { of_answer };
            let choice = TextChoice::new(index, output, &echoes, logprobs_shown, envelope);
            let all_ids = if self.echo { [ids, output.token_ids()].concat() } else { output.token_ids().to_vec() };
            TextChoice {
                token_ids: self.shown.token_ids.then_some(all_ids),
                prompt_logprobs: logprobs.of_prompt(ids),
                prompt_token_ids: self.shown.token_ids.then(|| ids.clone()),
                ..choice
            }
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
            logprobs: Logprobs::new(&self.shown, &envelope),
            offsets: (0..n_choices).map(|choice| echoes.before(choice).chars().count()).collect(),
            echoes,
            echo: self.echo,
            token_ids: self.shown.token_ids,
            continuous_usage: self.shown.continuous_usage(&envelope),
            streaming: Streaming::new(self.shown.stream_interval, &envelope.config),
            include_usage,
            counts: TokenCounts::default(),
            envelope,
        }
    }
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
    stop_reason: Value,
    token_ids: Option<Vec<u32>>,
    prompt_logprobs: Option<Vec<Value>>,
    prompt_token_ids: Option<Vec<u32>>,
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
            stop_reason: stop_reason(output),
            token_ids: None,
            prompt_logprobs: None,
            prompt_token_ids: None,
            routed_experts: None,
            weight_versions: None,
        }
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
    echo: bool,
    token_ids: bool,
    streaming: Streaming,
    include_usage: bool,
    continuous_usage: bool,
    counts: TokenCounts,
}

impl Events for TextChunks {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope);
        let (choice, n_tokens) = (event.choice, event.output.n_tokens());
        let prompt_ids = &self.envelope.prompt(choice).token_ids;
        let (begun, offset) = (&mut self.begun[choice as usize], &mut self.offsets[choice as usize]);
        self.streaming.each_run(event, |run, tokens| {
            let is_last = tokens.end == n_tokens;
            let is_first = !std::mem::replace(begun, true);
            let echoes = is_first && self.echo;
            let usage = self.continuous_usage.then(|| Usage::so_far(&self.envelope, tokens.end));
            let mut logprobs = self.logprobs.text(&event.output, tokens.clone(), offset);
            if echoes {
                logprobs = self.logprobs.with_echo(prompt_ids, logprobs);
            }
            let token_ids = self.token_ids.then(|| {
                let ids = event.output.token_ids().get(tokens).unwrap_or_default();
                if echoes { [prompt_ids, ids].concat() } else { ids.to_vec() }
            });
            self.writer.of_choice(out, usage.as_deref(), is_last, |out| {
                write_number(out, r#"{"index":"#, choice);
                match if is_first { self.echoes.before(choice) } else { "" } {
                    "" => write_pair(out, r#","text":"#, run.text()),
                    prompt => write_pair(out, r#","text":"#, &[prompt, run.text()].concat()),
                }
                write_pair(out, r#","logprobs":"#, &logprobs);
                if is_last {
                    let finish_reason = self.envelope.finish_reason(event.output.finish_reason());
                    write_pair(out, r#","finish_reason":"#, finish_reason);
                    write_pair(out, r#","stop_reason":"#, &stop_reason(&event.output));
                } else {
                    out.extend_from_slice(br#","finish_reason":null,"stop_reason":null"#);
                }
                let prompt_ids = (is_first && self.token_ids).then_some(prompt_ids);
                write_pair(out, r#","prompt_token_ids":"#, &prompt_ids);
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
