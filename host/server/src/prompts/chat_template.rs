//! A model's chat template: how a conversation becomes one text. Written in Jinja, and rendered as Hugging Face's
//! `transformers` does it, with the messages as vLLM hands them over.

mod messages;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, Value};
use rehearsal_engine::Clock;
use rehearsal_plugin_host::regular_file;
use serde::{Deserialize, Serialize};
use serde_json::ser::PrettyFormatter;
use tracing::warn;

use super::conversation::Conversation;
use crate::config::{ChatTemplateConfig, ContentFormat, TemplateSource};
use crate::wire::errors::ApiError;
use crate::wire::wall_clock;

/// A compiled template.
#[derive(Clone)]
pub struct ChatTemplate(Arc<Compiled>);

struct Compiled {
    environment: Environment<'static>,
    /// The template to take where tools are offered, if that is another one.
    has_tool_use: bool,
    content: ContentFormat,
    /// `bos_token` and the like, by name.
    special_tokens: Vec<(String, String)>,
    /// Variables that a request may override.
    kwargs: Vec<(String, Value)>,
}

/// Of a template, or of a model's file that has one.
const MOST_BYTES: u64 = 64 << 20;

const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// `tokenizer_config.json`, as far as templates need it.
#[derive(Debug, Default, Deserialize)]
struct TokenizerConfigFile {
    chat_template: Option<Templates>,
    #[serde(flatten)]
    other: serde_json::Map<String, serde_json::Value>,
}

impl TokenizerConfigFile {
    /// Of the model in `folder`, which need not have one.
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer_config.json");
        match regular_file::read(&path, MOST_BYTES) {
            Ok(json) => serde_json::from_slice(&json).with_context(|| format!("{} is not understood", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn special_tokens(&self) -> Vec<(String, String)> {
        let special_token = |(name, value): (&String, &serde_json::Value)| {
            let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
            name.ends_with("_token").then(|| (name.clone(), text.to_owned()))
        };
        self.other.iter().filter_map(special_token).collect()
    }
}

/// The text of a template that the user gave. `None`, with a warning, if it is a file that is not there: charts name
/// files of vLLM's image.
fn given(source: &TemplateSource) -> Option<Result<String>> {
    match source {
        TemplateSource::Text(text) => Some(Ok(text.clone())),
        TemplateSource::File(path) => match regular_file::read_text(path, MOST_BYTES) {
            Ok(text) => Some(Ok(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                warn!(path = %path.display(), "chat-template: there is no such file; the model's template serves, if it has one");
                None
            }
            Err(error) => Some(Err(error).with_context(|| format!("cannot read {}", path.display()))),
        },
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Several(Vec<NamedTemplate>),
}

#[derive(Debug, Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

impl ChatTemplate {
    /// The template that `config` gives, else the one in a model's folder: a file of its own, or in
    /// `tokenizer_config.json`. `None` if there is none of them.
    pub(super) fn load(folder: Option<&Path>, config: &ChatTemplateConfig, clock: &Clock) -> Result<Option<Self>> {
        let models = folder.map_or(Ok(TokenizerConfigFile::default()), TokenizerConfigFile::read)?;
        let special_tokens = models.special_tokens();
        if let Some(text) = config.source.as_ref().and_then(given).transpose().context("chat-template")? {
            let template = Self::new(Templates::One(text), special_tokens, config, clock);
            return template.map(Some).context("chat-template: it is not understood");
        }
        let Some(folder) = folder else { return Ok(None) };
        let own_path = folder.join("chat_template.jinja");
        let own_file = match regular_file::read_text(&own_path, MOST_BYTES) {
            Ok(text) => Some(Templates::One(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", own_path.display())),
        };
        let Some(templates) = own_file.or(models.chat_template) else { return Ok(None) };
        let template = Self::new(templates, special_tokens, config, clock);
        template.map(Some).with_context(|| format!("the chat template in {} is not understood", folder.display()))
    }

    fn new(
        templates: Templates,
        special_tokens: Vec<(String, String)>,
        config: &ChatTemplateConfig,
        clock: &Clock,
    ) -> Result<Self, Error> {
        let named = match templates {
            Templates::One(template) => vec![NamedTemplate { name: DEFAULT.into(), template }],
            Templates::Several(named) => named,
        };
        let called = |name: &str| named.iter().find(|template| template.name == name);
        let (default, tool_use) = (called(DEFAULT).or(named.first()), called(TOOL_USE));
        let expected = messages::expected_format(default.map_or("", |template| &template.template));
        let content = config.content_format.unwrap_or(expected);
        let mut environment = environment(clock.clone());
        for (name, template) in [(DEFAULT, default), (TOOL_USE, tool_use)] {
            if let Some(template) = template {
                environment.add_template_owned(name, template.template.clone())?;
            }
        }
        let kwargs = config.kwargs.iter().map(|(name, value)| (name.clone(), Value::from(Serde(value)))).collect();
        let has_tool_use = tool_use.is_some();
        Ok(Self(Arc::new(Compiled { environment, has_tool_use, content, special_tokens, kwargs })))
    }

    /// The text of a conversation. Fails, as in vLLM, if the template refuses it.
    pub fn render(&self, conversation: &Conversation) -> Result<String, ApiError> {
        self.text(conversation).map_err(|error| {
            let why = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            ApiError::invalid(format!("the chat template refuses the messages: {why}"))
        })
    }

    fn text(&self, conversation: &Conversation) -> Result<String, Error> {
        let name = if self.0.has_tool_use && conversation.tools.is_some() { TOOL_USE } else { DEFAULT };
        let special_tokens = self.0.special_tokens.iter().map(|(name, text)| (name.as_str(), Value::from(text)));
        let kwargs = self.0.kwargs.iter().map(|(name, value)| (name.as_str(), value.clone()));
        // The last of a name counts.
        let variables = messages::variables(conversation, self.0.content);
        let variables = Value::from_pairs(special_tokens.chain(kwargs).chain(variables));
        if conversation.continue_final_message && conversation.add_generation_prompt {
            let message = "add_generation_prompt must be false where continue_final_message is true";
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        let mut text = match &conversation.chat_template {
            Some(own) => self.0.environment.render_str(own, variables)?,
            None => self.0.environment.get_template(name)?.render(variables)?,
        };
        if let Some(continued) = conversation.continued()
            && let Some(at) = text.rfind(&continued)
        {
            text.truncate(at + continued.len());
        }
        Ok(text)
    }
}

/// Jinja as `transformers` sets it up. Its time is `clock`'s.
fn environment(clock: Clock) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters"));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", move |format: String| -> Result<String, Error> {
        let text = jiff::fmt::strtime::format(&format, &wall_clock::utc(clock.unix_time()));
        text.map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now({format:?}): {error}")))
    });
    environment
}

/// Python's `json.dumps(…, ensure_ascii=False)`.
fn to_json(value: Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    for option in ["ensure_ascii", "sort_keys"] {
        if options.get::<Option<bool>>(option)? == Some(true) {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson cannot do {option}=true")));
        }
    }
    options.assert_all_used()?;
    let written = match (indent, separators.as_deref()) {
        (Some(indent), _) => write_json(&value, PrettyFormatter::with_indent(" ".repeat(indent).as_bytes())),
        (None, Some([item, key])) => write_json(&value, Spaced { item, key }),
        (None, _) => write_json(&value, Spaced { item: ", ", key: ": " }),
    };
    let json = written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Value::from_safe_string(json))
}

fn write_json(value: &Value, formatter: impl serde_json::ser::Formatter) -> serde_json::Result<String> {
    let mut json = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, formatter))?;
    Ok(String::from_utf8_lossy(&json).into_owned())
}

/// Python's JSON on one line: what stands between items, and between a key and its value.
struct Spaced<'a> {
    item: &'a str,
    key: &'a str,
}

impl serde_json::ser::Formatter for Spaced<'_> {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }
}
