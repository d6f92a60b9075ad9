//! Fields that chat and text completions share, read after their types were checked.

use rehearsal_engine::Endpoint;
use rehearsal_engine::request::{OutputFormat, Wishes};
use serde_json::{Map, Value};

use crate::generate::{Envelope, Incoming, RequestId, Sampling, Transfer};
use crate::prompts::{Input, PromptInput};
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, integer};
use crate::wire::token_ids;

/// How a client wants to see its answer.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    include_usage: bool,
    continuous_usage: bool,
    /// Tokens of one chunk of the stream, at least 1.
    pub stream_interval: u32,
    /// Ids of the prompt's tokens and of the answer's.
    pub token_ids: bool,
    /// Where tokens are named, by their ids.
    pub tokens_as_ids: Option<bool>,
    /// Log-probabilities of so many tokens at each position of the answer.
    pub n_logprobs: Option<usize>,
    /// Of these tokens instead; empty: of the likeliest.
    pub logprob_token_ids: Vec<u32>,
    /// Likewise of the prompt.
    pub n_prompt_logprobs: Option<usize>,
}

impl Shown {
    /// Whether a stream ends with its usage, as the request wants it or the server.
    pub fn include_usage(&self, envelope: &Envelope) -> bool {
        self.include_usage || envelope.config.force_include_usage
    }

    /// Whether every chunk has its usage so far.
    pub fn continuous_usage(&self, envelope: &Envelope) -> bool {
        (self.include_usage && self.continuous_usage) || envelope.config.force_include_usage
    }
}

/// Reads what both endpoints have. `max_tokens`, `logprobs` and wishes but for the format are the caller's.
pub fn read(
    fields: Fields<'_>,
    endpoint: Endpoint,
    input: Input,
    max_tokens: Option<(&'static str, i64)>,
    logprobs: Option<(&'static str, i64)>,
) -> (Incoming, Shown) {
    let stream_options = fields.within("stream_options");
    let option = |name: &str| stream_options.is_some_and(|options| options.switch(name));
    let ids = |name: &str| fields.raw(name).map(|_| fields.integers(name));
    let mut sampling = Sampling {
        n: fields.integer("n").unwrap_or(1),
        max_tokens,
        least_max_tokens: 1,
        min_tokens: fields.integer("min_tokens").unwrap_or(0),
        ignore_eos: fields.switch("ignore_eos"),
        stop: fields.texts("stop"),
        stop_token_ids: fields.integers("stop_token_ids"),
        include_stop_str_in_output: fields.switch("include_stop_str_in_output"),
        seed: fields.integer("seed"),
        temperature: fields.number("temperature"),
        top_p: fields.number("top_p"),
        top_k: fields.integer("top_k"),
        min_p: fields.number("min_p"),
        presence_penalty: fields.number("presence_penalty"),
        frequency_penalty: fields.number("frequency_penalty"),
        repetition_penalty: fields.number("repetition_penalty"),
        use_beam_search: fields.switch("use_beam_search"),
        logprobs,
        prompt_logprobs: fields.integer("prompt_logprobs"),
        logprob_token_ids: ids("logprob_token_ids").filter(|ids: &Vec<i64>| !ids.is_empty()),
        logit_bias: fields.object("logit_bias").map(|bias| bias.keys().cloned().collect()).unwrap_or_default(),
        allowed_token_ids: ids("allowed_token_ids"),
        bad_words: fields.texts("bad_words"),
        thinking_token_budget: fields.integer("thinking_token_budget"),
        truncate_prompt_tokens: fields.integer("truncate_prompt_tokens"),
        truncates_right: fields.text("truncation_side") == Some("right"),
        repetition_detection: fields.within("repetition_detection").map(|detection| {
            ["max_pattern_size", "min_pattern_size", "min_count"].map(|name| detection.integer(name).unwrap_or(0))
        }),
    };
    let shown = Shown {
        include_usage: option("include_usage"),
        continuous_usage: option("continuous_usage_stats"),
        stream_interval: fields.integer("stream_interval").map_or(1, |n| n.clamp(1, u32::MAX.into()) as u32),
        token_ids: fields.switch("return_token_ids"),
        tokens_as_ids: fields.raw("return_tokens_as_token_ids").map(|_| fields.switch("return_tokens_as_token_ids")),
        n_logprobs: sampling.n_logprobs(),
        // What is no id is refused before anything is written.
        logprob_token_ids: sampling
            .logprob_token_ids
            .iter()
            .flatten()
            .filter_map(|id| u32::try_from(*id).ok())
            .collect(),
        n_prompt_logprobs: sampling.prompt_logprobs.map(|n| usize::try_from(n).unwrap_or_default()),
    };
    if endpoint != Endpoint::Generate && !shown.logprob_token_ids.is_empty() {
        // As vLLM's engine is asked.
        sampling.logprobs = None;
    }
    let incoming = Incoming {
        endpoint,
        model: fields.string("model"),
        input,
        wants_token_ids: shown.token_ids || logprobs.is_some() || shown.n_prompt_logprobs.is_some(),
        sampling,
        wishes: Wishes { parallel_tool_calls: true, ..Wishes::default() },
        stream: fields.switch("stream"),
        transfer: Transfer::read(fields),
        request_id: RequestId::Suffix(fields.string("request_id")),
        cache_salt: fields.string("cache_salt"),
        priority: fields.integer("priority").unwrap_or(0),
        add_special_tokens: fields.raw("add_special_tokens").map(|_| fields.switch("add_special_tokens")),
    };
    (incoming, shown)
}

/// One prompt or several, each as text or as token ids.
pub fn prompts(value: Option<&Value>) -> Vec<PromptInput> {
    let ids = |list: &[Value]| {
        let ids = list.iter().filter_map(|id| integer(id).ok());
        PromptInput::TokenIds(ids.map(|id| i64::try_from(id).unwrap_or(i64::MAX)).collect())
    };
    if let Some(ids) = value.and_then(token_ids::ids) {
        return vec![PromptInput::ManyTokenIds(ids)];
    }
    match value {
        Some(Value::String(text)) => vec![PromptInput::Text(text.clone())],
        Some(Value::Array(list)) if list.iter().any(|item| item.is_number() || item.is_boolean()) => vec![ids(list)],
        Some(Value::Array(list)) => list
            .iter()
            .map(|item| match item {
                Value::Array(list) => ids(list),
                many if let Some(ids) = token_ids::ids(many) => PromptInput::ManyTokenIds(ids),
                text => PromptInput::Text(text.as_str().unwrap_or_default().to_owned()),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What the content must look like: `response_format`, or else `structured_outputs`, or else the names that vLLM had
/// before.
pub fn format(fields: Fields<'_>) -> Result<OutputFormat, ApiError> {
    if let Some(format) = fields.within("response_format").filter(|format| format.text("type") != Some("text")) {
        if fields.raw("structured_outputs").is_some() {
            return Err(ApiError::invalid("only one of response_format and structured_outputs can be had"));
        }
        return match format.text("type") {
            Some("json_object") => Ok(OutputFormat::JsonObject),
            Some("json_schema") => {
                let schema = format.within("json_schema").and_then(|named| named.object("schema"));
                let schema =
                    schema.ok_or_else(|| ApiError::invalid("the json_schema of response_format has no schema"))?;
                Ok(OutputFormat::JsonSchema(json(schema)))
            }
            _ => Ok(OutputFormat::Free),
        };
    }
    let Some(structured) = fields.within("structured_outputs") else { return Ok(constraint(fields, "guided_")) };
    match CONSTRAINTS.iter().filter(|name| structured.raw(name).is_some()).count() {
        0 => Err(ApiError::invalid("structured_outputs must have one constraint, it has none")),
        1 if structured.raw("json_object") == Some(&Value::Bool(false)) => {
            Err(ApiError::invalid("structured_outputs: json_object must be true, or left out"))
        }
        1 => Ok(constraint(structured, "")),
        n => Err(ApiError::invalid(format!("structured_outputs must have one constraint, it has {n}"))),
    }
}

const CONSTRAINTS: [&str; 6] = ["json", "regex", "choice", "grammar", "json_object", "structural_tag"];

/// The one constraint of an object whose names begin with `prefix`.
fn constraint(fields: Fields<'_>, prefix: &str) -> OutputFormat {
    let given = |name: &str| fields.raw(&format!("{prefix}{name}"));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(schema) = given("json") {
        OutputFormat::JsonSchema(text(schema))
    } else if let Some(regex) = given("regex") {
        OutputFormat::Regex(text(regex))
    } else if let Some(choices) = given("choice") {
        OutputFormat::Choice(choices.as_array().into_iter().flatten().map(text).collect())
    } else if let Some(grammar) = given("grammar") {
        OutputFormat::Other("grammar".into(), text(grammar))
    } else if given("json_object").is_some() {
        OutputFormat::JsonObject
    } else {
        OutputFormat::Free
    }
}

fn json(object: &Map<String, Value>) -> String {
    serde_json::to_string(object).unwrap_or_default()
}
