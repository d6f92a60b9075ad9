//! `POST /inference/v1/generate`: tokens in, tokens out. What vLLM's scale-out routers speak; vLLM has it only with
//! `--enable-scale-out`, we always do.

use std::ops::Range;

use axum::Json;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::{CompletionOutput, DueTokens, Endpoint};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::openai::fields::{CACHE_SALT, NOT_NEGATIVE, REPETITION, STRUCTURED_OUTPUTS};
use super::openai::{Logprobs, Shown, Usage, body, checks, stop_reason};
use crate::config::RequestLimits;
use crate::generate::{Answer, Envelope, Events, Incoming, RequestId, Streaming, Surface, TokenCounts};
use crate::prompts::{Input, PromptInput};
use crate::wire::errors::ApiError;
use crate::wire::event::write_data;
use crate::wire::fields::{Fields, integer};
use crate::wire::invalid::{Invalid, Wrong};
use crate::wire::schema::{
    self, Field, Form, INTEGER, INTEGER_64, INTEGERS, Kind, OBJECT, TEXT, TEXTS, field, nullable, required,
};
use crate::wire::token_ids;

/// The fields of a request, in vLLM's order.
pub const TOKENS: &[Field] = &[
    field("request_id", TEXT),
    required("token_ids", Kind::Rule(&Kind::NotEmpty(&INTEGERS), has_no_negative)),
    nullable("token_offsets", Kind::List(&Kind::Any, None)),
    nullable("features", OBJECT),
    nullable("content_parts", Kind::List(&OBJECT, None)),
    required("sampling_params", Kind::Object(Form::Instance, "SamplingParams", SAMPLING_PARAMS)),
    nullable("model", TEXT),
    nullable("reasoning_ended", Kind::Switch),
    nullable("reasoning_parser_kwargs", OBJECT),
    nullable("return_token_ids", Kind::Switch),
    field("output_mode", Kind::Words(&["tokens", "text", "derender"])),
    nullable("parse_context", OBJECT),
    nullable("stream", Kind::Switch),
    nullable(
        "stream_options",
        Kind::Object(
            Form::Model,
            "StreamOptions",
            &[nullable("include_usage", Kind::Switch), nullable("continuous_usage_stats", Kind::Switch)],
        ),
    ),
    nullable("cache_salt", CACHE_SALT),
    field("priority", INTEGER_64),
    nullable("kv_transfer_params", OBJECT),
    nullable("ec_transfer_params", OBJECT),
];

const SAMPLING_PARAMS: &[Field] = &[
    field("n", INTEGER),
    field("presence_penalty", Kind::Number),
    field("frequency_penalty", Kind::Number),
    field("repetition_penalty", Kind::Number),
    field("temperature", Kind::Number),
    nullable("watermarking", Kind::Switch),
    field("top_p", Kind::Number),
    field("top_k", INTEGER),
    field("min_p", Kind::Number),
    nullable("seed", INTEGER),
    nullable("stop", Kind::OneOf(&[TEXT, TEXTS])),
    nullable("stop_token_ids", INTEGERS),
    field("ignore_eos", Kind::Switch),
    nullable("max_tokens", INTEGER),
    field("min_tokens", INTEGER),
    nullable("logprobs", INTEGER),
    nullable("prompt_logprobs", INTEGER),
    nullable("prompt_logprob_token_ids", INTEGERS),
    nullable("prompt_logprob_start", INTEGER),
    nullable("logprob_token_ids", INTEGERS),
    field("flat_logprobs", Kind::Switch),
    field("detokenize", Kind::Switch),
    field("skip_special_tokens", Kind::Switch),
    field("spaces_between_special_tokens", Kind::Switch),
    field("include_stop_str_in_output", Kind::Switch),
    field("output_kind", INTEGER),
    nullable("stream_interval", INTEGER),
    field("skip_clone", Kind::Switch),
    field("output_text_buffer_length", INTEGER),
    nullable("structured_outputs", STRUCTURED_OUTPUTS),
    nullable("logit_bias", Kind::Map(&Kind::Number)),
    nullable("allowed_token_ids", INTEGERS),
    nullable("extra_args", OBJECT),
    nullable("bad_words", TEXTS),
    nullable("skip_reading_prefix_cache", Kind::Switch),
    nullable("thinking_token_budget", INTEGER),
    nullable("repetition_detection", REPETITION),
    nullable("trace_decode_token_ids", INTEGERS),
    field("routed_experts_prompt_start", NOT_NEGATIVE),
];

fn has_no_negative(ids: &Value) -> Option<&'static str> {
    let has_negative = ids.as_array().into_iter().flatten().any(|id| integer(id).is_ok_and(|id| id < 0));
    has_negative.then_some("token_ids must not contain negative values")
}

/// Continues token ids.
pub struct Tokens {
    shown: Shown,
    /// The answer has its text, too.
    text: bool,
}

impl Surface for Tokens {
    const ID_PREFIX: &'static str = "generate-tokens-";
    type Events = TokenEvents;

    fn read(object: Map<String, Value>, limits: &RequestLimits) -> Result<(Self, Incoming), ApiError> {
        checks::cache_salt(&object)?;
        schema::check(&object, TOKENS, limits).or_ok()?;
        let fields = Fields(&object);
        let params = fields.object("sampling_params").cloned().unwrap_or_default();
        let mode = fields.text("output_mode").unwrap_or("tokens");
        if mode != "tokens" && !Fields(&params).switch_or("detokenize", true) {
            let message = format!("output_mode='{mode}' requires sampling_params.detokenize to be true");
            return Err(Invalid::one("body", Wrong::value(&message), &Value::Object(object.clone())).into());
        }
        if mode == "derender" {
            return Err(ApiError::invalid("output_mode 'derender' is not simulated: ask for 'text' or 'tokens'"));
        }
        if !Fields(&params).switch_or("detokenize", true) && !Fields(&params).texts("stop").is_empty() {
            return Err(ApiError::invalid("stop looks for text, which there is none of with detokenize false"));
        }
        let many = fields.raw("token_ids").and_then(token_ids::ids).map(PromptInput::ManyTokenIds);
        let ids = many.unwrap_or_else(|| PromptInput::TokenIds(fields.integers("token_ids")));
        let ids = Input::Prompts(vec![ids]);
        // Both kinds of fields, as if of one object.
        let others = object.iter().filter(|(name, _)| *name != "token_ids");
        let others = others.map(|(name, value)| (name.clone(), value.clone()));
        let merged: Map<_, _> = params.into_iter().chain(others).collect();
        let merged = Fields(&merged);
        let named = |name| merged.integer(name).map(|value| (name, value));
        // vLLM's usual number, which a request without any has.
        let max_tokens =
            if merged.0.contains_key("max_tokens") { named("max_tokens") } else { Some(("max_tokens", 16)) };
        let (mut incoming, shown) = body::read(merged, Endpoint::Generate, ids, max_tokens, named("logprobs"));
        incoming.wishes.format = body::format(merged)?;
        incoming.wants_token_ids = true;
        incoming.request_id = RequestId::Suffix(fields.string("request_id"));
        Ok((Self { shown, text: mode == "text" }, incoming))
    }

    fn whole(self, answer: &Answer) -> Response {
        let Answer { envelope, outputs, counts } = answer;
        let logprobs = Logprobs::new(&self.shown, envelope);
        let ids = &envelope.request.prompts[0].token_ids;
        let choices = (0..).zip(outputs).map(|(index, output)| {
            let text = self.text.then(|| output.text());
            Choice::new(index, output, 0..output.n_tokens(), text, &logprobs, self.text)
        });
        let whole = Whole {
            request_id: &envelope.id,
            model: &envelope.request.model,
            created: envelope.created,
            usage: Usage::new(envelope, *counts),
            prompt_logprobs: logprobs.of_prompt(ids),
            prompt_token_id_logprobs: None,
            prompt_token_ids: self.shown.token_ids.then_some(ids),
            mm_placeholders: None,
            metrics: None,
            kv_transfer_params: envelope.kv_transfer_params(),
            ec_transfer_params: None,
            output_mode: if self.text { "text" } else { "tokens" },
            choices: choices.collect(),
        };
        Json(whole).into_response()
    }

    fn events(self, envelope: Envelope) -> TokenEvents {
        TokenEvents {
            logprobs: Logprobs::new(&self.shown, &envelope),
            streaming: Streaming::new(self.shown.stream_interval, &envelope.config),
            surface: self,
            envelope,
            counts: TokenCounts::default(),
            has_begun: false,
        }
    }
}

#[derive(Debug, Serialize)]
struct Whole<'a> {
    request_id: &'a str,
    model: &'a str,
    created: u64,
    usage: Usage,
    prompt_logprobs: Option<Vec<Value>>,
    prompt_token_id_logprobs: Option<()>,
    prompt_token_ids: Option<&'a Vec<u32>>,
    mm_placeholders: Option<()>,
    metrics: Option<()>,
    kv_transfer_params: Option<Value>,
    ec_transfer_params: Option<()>,
    output_mode: &'static str,
    choices: Vec<Choice<'a>>,
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: u32,
    finish_reason: Option<&'a str>,
    stop_reason: Value,
    token_ids: &'a [u32],
    routed_experts: Option<()>,
    sampling_mask: Option<()>,
    weight_versions: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    logprobs: Option<Value>,
}

impl<'a> Choice<'a> {
    /// Of these tokens, the last of which may end it.
    fn new(
        index: u32,
        output: &'a CompletionOutput,
        tokens: Range<usize>,
        text: Option<&'a str>,
        logprobs: &Logprobs,
        has_text: bool,
    ) -> Self {
        let is_last = tokens.end == output.n_tokens();
        Self {
            index,
            finish_reason: is_last.then(|| output.finish_reason().as_str()),
            stop_reason: if is_last { stop_reason(output) } else { Value::Null },
            token_ids: output.token_ids().get(tokens.clone()).unwrap_or_default(),
            routed_experts: None,
            sampling_mask: None,
            weight_versions: None,
            text,
            logprobs: if has_text {
                logprobs.chat(output, tokens).map(|logprobs| json!(logprobs))
            } else {
                logprobs.of_ids(output, tokens)
            },
        }
    }
}

/// Writes chunks of tokens.
pub struct TokenEvents {
    surface: Tokens,
    envelope: Envelope,
    streaming: Streaming,
    logprobs: Logprobs,
    counts: TokenCounts,
    has_begun: bool,
}

#[derive(Debug, Serialize)]
struct Chunk<'a> {
    request_id: &'a str,
    usage: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<&'a Vec<u32>>,
    output_mode: &'static str,
    choices: Vec<Choice<'a>>,
}

impl Events for TokenEvents {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn tokens(&mut self, event: &DueTokens, out: &mut Vec<u8>) {
        self.counts.add(event, &self.envelope);
        let Self { surface, envelope, streaming, logprobs, has_begun, .. } = self;
        let shows_usage = surface.shown.continuous_usage(envelope);
        streaming.each_run(event, |run, tokens| {
            let text = surface.text.then(|| run.text());
            let ids = (!std::mem::replace(has_begun, true) && surface.shown.token_ids)
                .then_some(&envelope.request.prompts[0].token_ids);
            let (prompt_tokens, n_tokens) = (envelope.prompt_tokens, tokens.end as u32);
            let usage = shows_usage.then(|| {
                json!({
                    "prompt_tokens": prompt_tokens,
                    "total_tokens": prompt_tokens + n_tokens,
                    "completion_tokens": n_tokens,
                    "prompt_tokens_details": null,
                    "completion_tokens_details": null,
                })
            });
            let choice = Choice::new(event.choice, &event.output, tokens, text, logprobs, surface.text);
            write(envelope, surface, usage, ids, vec![choice], out);
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.surface.shown.include_usage(&self.envelope) {
            let Usage { prompt_tokens, total_tokens, completion_tokens, .. } = Usage::new(&self.envelope, self.counts);
            let usage = json!({
                "prompt_tokens": prompt_tokens,
                "total_tokens": total_tokens,
                "completion_tokens": completion_tokens,
            });
            write(&self.envelope, &self.surface, Some(usage), None, Vec::new(), out);
        }
    }
}

fn write(
    envelope: &Envelope,
    surface: &Tokens,
    usage: Option<Value>,
    prompt_token_ids: Option<&Vec<u32>>,
    choices: Vec<Choice<'_>>,
    out: &mut Vec<u8>,
) {
    let output_mode = if surface.text { "text" } else { "tokens" };
    let chunk = Chunk { request_id: &envelope.id, usage, prompt_token_ids, output_mode, choices };
    write_data(out, &chunk);
}
