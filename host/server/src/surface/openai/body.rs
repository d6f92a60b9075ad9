//! Fields that chat and text completions share, as they came. Types and forms only.

use rehearsal_engine::Endpoint;
use rehearsal_engine::request::{OutputFormat, Wishes};
use serde_json::{Map, Value};

use crate::config::RequestLimits;
use crate::generate::{Envelope, Incoming, Sampling, Transfer};
use crate::prompts::Input;
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, integer};

/// How a client wants to see its answer.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// End the stream with a chunk of usage.
    pub include_usage: bool,
    /// Tokens of one chunk of the stream, at least 1.
    pub stream_interval: u32,
}

impl Shown {
    /// Whether a stream ends with its usage, as the request wants it or the server.
    pub fn include_usage(&self, envelope: &Envelope) -> bool {
        self.include_usage || envelope.config.force_include_usage
    }
}

/// Reads what both endpoints have. `max_tokens`, log-probabilities and wishes but for the format are the caller's.
pub fn read(
    fields: &mut Fields<'_>,
    endpoint: Endpoint,
    input: Input,
    max_tokens: Option<(&'static str, i64)>,
    limits: &RequestLimits,
) -> (Incoming, Shown) {
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
    let sampling = Sampling {
        n,
        max_tokens,
        least_max_tokens: 1,
        temperature: fields.number("temperature"),
        top_p: fields.number("top_p"),
        top_k: fields.integer("top_k"),
        min_p: fields.number("min_p"),
        presence_penalty,
        frequency_penalty,
        repetition_penalty: fields.number("repetition_penalty"),
        logprobs: None,
        prompt_logprobs: fields.integer("prompt_logprobs"),
        min_tokens: fields.integer("min_tokens").unwrap_or(0),
        ignore_eos: fields.switch("ignore_eos"),
        stop,
        include_stop_str_in_output: fields.switch("include_stop_str_in_output"),
        seed,
    };
    let stream_interval = stream_interval(fields);
    let incoming = Incoming {
        endpoint,
        model,
        input,
        sampling,
        wishes: Wishes { parallel_tool_calls: true, ..Wishes::default() },
        stream,
        transfer: Transfer::read(fields),
        request_id: fields.string("request_id").map(str::to_owned),
        cache_salt: fields.string("cache_salt").map(str::to_owned),
    };
    (incoming, Shown { include_usage, stream_interval })
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
pub fn format(fields: &mut Fields<'_>) -> OutputFormat {
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
pub fn check_raw(object: &Map<String, Value>) -> Result<(), ApiError> {
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
pub fn check_stream_options(object: &Map<String, Value>, empty_is_fine: bool) -> Result<(), ApiError> {
    let options = match object.get("stream_options") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(options)) if options.is_empty() && empty_is_fine => return Ok(()),
        Some(_) => "stream_options",
    };
    let streams = object.get("stream").is_some_and(|stream| !matches!(stream, Value::Null | Value::Bool(false)));
    if streams { Ok(()) } else { Err(ApiError::invalid_param(options, "stream_options needs `stream=True`")) }
}
