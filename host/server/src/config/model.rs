//! The model's names, and how a conversation becomes its prompt.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    MODEL: String = Spec::one("model", "NAME").env("SIM_MODEL")
        .help("the model that is served, in name only; required. Also an argument without a flag"), values::name;
    SERVED_MODEL_NAME: Vec<String> = Spec::several("served-model-name", "NAME")
        .help("names in the API, the first one is reported; not given: the model's"), values::names;
    SKIP_MODEL_NAME_VALIDATION: bool = Spec::environment("VLLM_SKIP_MODEL_NAME_VALIDATION").default("0")
        .help("requests may name any model"), values::switch;
    CHAT_TEMPLATE: TemplateSource = Spec::one("chat-template", "FILE")
        .help("chat template: a file, or the template itself. Not given, or a file that is not there: the model's"),
        template_source;
    CHAT_TEMPLATE_CONTENT_FORMAT: Option<ContentFormat> = Spec::one("chat-template-content-format", "FORMAT")
        .default("auto").help("how it gets messages: string, openai (a list of parts), or auto"), content_format;
    DEFAULT_CHAT_TEMPLATE_KWARGS: Map<String, Value> = Spec::json("default-chat-template-kwargs")
        .help("variables for it; a request's chat_template_kwargs win"), values::json_object;
    RESPONSE_ROLE: String = Spec::one("response-role", "ROLE").default("assistant")
        .help("role of answers, unless a request continues its last message"), values::name;
}

/// The model's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// `root` of its cards.
    pub name: String,
    /// Names in the API; at least one, the first is reported.
    pub served_names: Vec<String>,
    /// Requests may name any model.
    pub skips_name_validation: bool,
}

/// How a conversation becomes a prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatTemplateConfig {
    /// Another template than the model's.
    pub source: Option<TemplateSource>,
    /// How it gets messages; `None`: found out from its text.
    pub content_format: Option<ContentFormat>,
    /// Variables for it.
    pub kwargs: Map<String, Value>,
}

/// Where a template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSource {
    /// In a file.
    File(PathBuf),
    /// Here.
    Text(String),
}

/// What a template expects of a message's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentFormat {
    /// One text.
    Text,
    /// A list of parts, over which it loops.
    Parts,
}

/// The names. A model must be named.
pub(super) fn read(reader: &mut Reader<'_>) -> ModelConfig {
    if !reader.is_given(&MODEL) {
        reader.problem("model: a model name is required, for example --model my-model");
    }
    let name = reader.given(&MODEL).unwrap_or_default();
    let served = reader.given(&SERVED_MODEL_NAME).unwrap_or_default();
    ModelConfig {
        served_names: if served.is_empty() { vec![name.clone()] } else { served },
        name,
        skips_name_validation: reader.read(&SKIP_MODEL_NAME_VALIDATION),
    }
}

pub(super) fn chat_template(reader: &mut Reader<'_>) -> ChatTemplateConfig {
    ChatTemplateConfig {
        source: reader.given(&CHAT_TEMPLATE),
        content_format: reader.read(&CHAT_TEMPLATE_CONTENT_FORMAT),
        kwargs: reader.given(&DEFAULT_CHAT_TEMPLATE_KWARGS).unwrap_or_default(),
    }
}

/// The role of answers.
pub(super) fn response_role(reader: &mut Reader<'_>) -> String {
    reader.read(&RESPONSE_ROLE)
}

/// vLLM takes for a template what has a line break or a brace of Jinja's, if there is no such file.
fn template_source(value: &Value) -> Result<TemplateSource, String> {
    let text = values::raw_text(value)?;
    let is_template = text.contains(['{', '}', '\n']) && !std::path::Path::new(&text).exists();
    Ok(if is_template { TemplateSource::Text(text) } else { TemplateSource::File(text.trim().into()) })
}

fn content_format(value: &Value) -> Result<Option<ContentFormat>, String> {
    match values::any_text(value)?.as_str() {
        "auto" => Ok(None),
        "string" => Ok(Some(ContentFormat::Text)),
        "openai" => Ok(Some(ContentFormat::Parts)),
        other => Err(format!("{other:?} is none of auto, string and openai")),
    }
}
