//! Request bodies as they came: JSON, read field by field. Types and forms only; ranges are `validate.rs`'s.

mod chat;
mod completion;
pub mod tokenize;

use axum::http::{HeaderMap, header};
use rehearsal_engine::request::OutputFormat;
use serde_json::{Map, Value};

pub use chat::ChatCompletionRequest;
pub use completion::{CompletionRequest, WirePrompt};

use crate::config::RequestLimits;
use crate::generate::transfer::Transfer;
use crate::wire::errors::ApiError;
use crate::wire::fields::{FieldErrors, Fields, integer};

/// What chat and text completions have in common.
#[derive(Debug, Clone)]
pub struct CommonFields {
    /// Which model; none or empty is the served one.
    pub model: Option<String>,
    /// Choices per prompt.
    pub n: i64,
    /// Most output tokens, by the name that the client used.
    pub max_tokens: Option<(&'static str, i64)>,
    /// Fewest output tokens.
    pub min_tokens: i64,
    /// Do not stop before the limit.
    pub ignore_eos: bool,
    /// Strings that end the output.
    pub stop: Vec<String>,
    /// Keep them.
    pub include_stop_str_in_output: bool,
    /// The client's own seed.
    pub seed: Option<i64>,
    /// Answer as Server-Sent Events.
    pub stream: bool,
    /// End the stream with a chunk of usage.
    pub include_usage: bool,
    /// Tokens of one chunk of the stream, at least 1.
    pub stream_interval: u32,
    /// Prefill and decode on different servers.
    pub transfer: Option<Transfer>,
    /// Suffix of the ids, unless a header gives one.
    pub request_id: Option<String>,
    /// Keeps the KV cache apart.
    pub cache_salt: Option<String>,
    /// Sampling parameters that only have a range here.
    pub ranged: Ranged,
    /// What the content must look like.
    pub format: OutputFormat,
}

/// Parameters that a real model would follow. Accepted, checked, and without effect on a simulated answer.
#[derive(Debug, Clone, Default)]
pub struct Ranged {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// Above 0, to 1.
    pub top_p: Option<f64>,
    /// -1, 0, or at least 1.
    pub top_k: Option<i64>,
    /// 0 to 1.
    pub min_p: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Above 0.
    pub repetition_penalty: Option<f64>,
    /// Log-probabilities per output token, by the name that the client used; -1 is all.
    pub logprobs: Option<(&'static str, i64)>,
    /// Log-probabilities per prompt token; -1 is all.
    pub prompt_logprobs: Option<i64>,
}

/// The body as a JSON object; the media type must say that it is one.
pub fn json_object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::UnsupportedMediaType);
    }
    if body.is_empty() {
        return Err(FieldErrors::no_body().into());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(FieldErrors::not_an_object(&other).into()),
        Err(error) => Err(FieldErrors::not_json(offset(body, &error), &error.to_string()).into()),
    }
}

/// The byte at which reading failed.
fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return body.len();
    }
    let before: usize =
        body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    before + error.column().saturating_sub(1)
}

impl CommonFields {
    /// `max_tokens` is read by the caller, who knows its names.
    fn read(fields: &mut Fields<'_>, max_tokens: Option<(&'static str, i64)>, limits: &RequestLimits) -> Self {
        let model = fields.string("model").map(str::to_owned);
        let frequency_penalty = fields.number("frequency_penalty");
        let n = fields.integer("n").unwrap_or(1);
        let presence_penalty = fields.number("presence_penalty");
        let seed = fields.integer("seed");
        let stop = stop_strings(fields, limits.stop_strings);
        let stream = fields.switch("stream");
        let include_usage = match fields.object("stream_options") {
            Some(options) => fields.within("stream_options", options, |options| options.switch("include_usage")),
            None => false,
        };
        let ranged = Ranged {
            temperature: fields.number("temperature"),
            top_p: fields.number("top_p"),
            top_k: fields.integer("top_k"),
            min_p: fields.number("min_p"),
            presence_penalty,
            frequency_penalty,
            repetition_penalty: fields.number("repetition_penalty"),
            logprobs: None,
            prompt_logprobs: fields.integer("prompt_logprobs"),
        };
        Self {
            model,
            n,
            max_tokens,
            min_tokens: fields.integer("min_tokens").unwrap_or(0),
            ignore_eos: fields.switch("ignore_eos"),
            stop,
            include_stop_str_in_output: fields.switch("include_stop_str_in_output"),
            seed,
            stream,
            include_usage,
            stream_interval: stream_interval(fields),
            transfer: Transfer::read(fields),
            request_id: fields.string("request_id").map(str::to_owned),
            cache_salt: fields.string("cache_salt").map(str::to_owned),
            ranged,
            format: format(fields),
        }
    }
}

fn stream_interval(fields: &mut Fields<'_>) -> u32 {
    let interval = fields.integer("stream_interval").unwrap_or(1);
    if interval < 1 {
        let given = fields.raw("stream_interval").unwrap_or(&Value::Null);
        fields.error("stream_interval", "greater_than_equal", "expected at least 1", given);
    }
    u32::try_from(interval).unwrap_or(u32::MAX)
}

fn stop_strings(fields: &mut Fields<'_>, most: usize) -> Vec<String> {
    let value = match fields.raw("stop") {
        None => return Vec::new(),
        Some(Value::String(stop)) => return vec![stop.clone()],
        Some(value) => value,
    };
    let strings = value.as_array().and_then(|list| list.iter().map(|stop| stop.as_str().map(str::to_owned)).collect());
    let Some(strings): Option<Vec<String>> = strings else {
        fields.error("stop", "string_type", "expected a string or a list of strings", value);
        return Vec::new();
    };
    if strings.len() > most {
        fields.error("stop", "too_long", &format!("expected at most {most} strings"), value);
    }
    strings
}

/// `response_format` or `structured_outputs`: read for plugins, which may follow them.
fn format(fields: &mut Fields<'_>) -> OutputFormat {
    if let Some(format) = fields.object("response_format") {
        let text = |key: &str| format.get(key).map(Value::to_string).unwrap_or_default();
        let kinds = ["text", "json_object", "json_schema", "structural_tag"];
        let kind = fields.within("response_format", format, |format| match format.raw("type") {
            Some(_) => format.word("type", &kinds),
            None => {
                format.missing("type");
                None
            }
        });
        return match kind {
            Some("json_object") => OutputFormat::JsonObject,
            Some("json_schema") => OutputFormat::JsonSchema(
                format
                    .get("json_schema")
                    .and_then(|schema| schema.get("schema"))
                    .map_or_else(|| text("json_schema"), Value::to_string),
            ),
            Some("structural_tag") => {
                OutputFormat::Other("structural-tag".into(), Value::Object(format.clone()).to_string())
            }
            _ => OutputFormat::Free,
        };
    }
    let Some(structured) = fields.object("structured_outputs") else { return OutputFormat::Free };
    let as_text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match CONSTRAINTS.iter().find_map(|kind| Some((*kind, structured.get(*kind).filter(|value| !value.is_null())?))) {
        Some(("json", schema)) => OutputFormat::JsonSchema(as_text(schema)),
        Some(("regex", regex)) => OutputFormat::Regex(as_text(regex)),
        Some(("choice", choices)) => {
            OutputFormat::Choice(choices.as_array().into_iter().flatten().map(as_text).collect())
        }
        Some(("json_object", _)) => OutputFormat::JsonObject,
        Some((kind, text)) => OutputFormat::Other(kind.replace('_', "-"), as_text(text)),
        None => OutputFormat::Free,
    }
}

/// Of these, `structured_outputs` has exactly one.
const CONSTRAINTS: [&str; 6] = ["json", "regex", "choice", "grammar", "json_object", "structural_tag"];

/// What vLLM checks before it looks at the types of the other fields.
fn check_raw(object: &Map<String, Value>) -> Result<(), ApiError> {
    let given = |key: &str| object.get(key).filter(|value| !value.is_null());
    if let Some(structured) = given("structured_outputs").and_then(Value::as_object) {
        let given =
            CONSTRAINTS.iter().filter(|key| structured.get(**key).is_some_and(|value| !value.is_null())).count();
        match given {
            0 => return Err(ApiError::invalid("structured_outputs must have one constraint, it has none")),
            1 => {}
            _ => return Err(ApiError::invalid(format!("structured_outputs must have one constraint, it has {given}"))),
        }
    }
    if let Some(format) = given("response_format").and_then(Value::as_object) {
        let wants_schema = format.get("type").and_then(Value::as_str) == Some("json_schema");
        if wants_schema && format.get("json_schema").is_none_or(Value::is_null) {
            let message = "a response_format of type 'json_schema' must have the field 'json_schema'";
            return Err(ApiError::invalid_param("response_format", message));
        }
    }
    if let Some(Value::String(salt)) = given("cache_salt") {
        let allowed = !salt.is_empty() && salt.chars().count() <= 128 && !salt.contains(['@', '/', '\\', '\0']);
        if !allowed {
            let message = "cache_salt must have 1 to 128 characters, none of them @, /, \\ or NUL";
            return Err(ApiError::invalid_param("cache_salt", message));
        }
    }
    let prompt_logprobs = given("prompt_logprobs").and_then(|value| integer(value).ok());
    if let Some(prompt_logprobs) = prompt_logprobs {
        if prompt_logprobs < -1 {
            return Err(ApiError::invalid_value(
                "prompt_logprobs",
                prompt_logprobs,
                "prompt_logprobs must be -1 or more",
            ));
        }
        if (prompt_logprobs > 0 || prompt_logprobs == -1) && given("stream") == Some(&Value::Bool(true)) {
            return Err(ApiError::invalid_param("prompt_logprobs", "prompt_logprobs cannot be streamed"));
        }
    }
    Ok(())
}

/// `stream_options` says how to stream, so there must be a stream.
fn check_stream_options(object: &Map<String, Value>, empty_is_fine: bool) -> Result<(), ApiError> {
    let options = match object.get("stream_options") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(options)) if options.is_empty() && empty_is_fine => return Ok(()),
        Some(_) => "stream_options",
    };
    let streams = object.get("stream").is_some_and(|stream| !matches!(stream, Value::Null | Value::Bool(false)));
    if streams { Ok(()) } else { Err(ApiError::invalid_param(options, "stream_options needs `stream=True`")) }
}
