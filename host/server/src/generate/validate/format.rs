//! Formats that an answer can be given, and whether it has them.

use jsonschema::Validator;
use regex_lite::Regex;
use rehearsal_engine::request::{OutputFormat, Tool};
use serde_json::Value;

use super::schema_size;
use crate::wire::errors::ApiError;

/// Deeper, a schema is refused.
const MOST_DEPTH: usize = 64;

/// A format, ready to be held against answers.
pub struct Format(Kind);

enum Kind {
    JsonObject,
    /// `None` if it leads back to itself: how long it takes to hold an answer against that is not known.
    JsonSchema(Option<Box<Validator>>),
    Regex(Regex),
    Choice(Vec<String>),
}

impl Format {
    /// Whether an answer has it.
    pub fn admits(&self, text: &str) -> bool {
        let json = || serde_json::from_str::<Value>(text);
        match &self.0 {
            Kind::JsonObject => json().is_ok_and(|value| value.is_object()),
            Kind::JsonSchema(schema) => {
                json().is_ok_and(|value| schema.as_ref().is_none_or(|schema| schema.is_valid(&value)))
            }
            Kind::Regex(regex) => regex.is_match(text),
            Kind::Choice(choices) => choices.iter().any(|choice| choice == text),
        }
    }
}

/// The format, if answers must have one. Fails if none could have it, or if it is of a kind that is not simulated.
pub(super) fn check(format: &OutputFormat) -> Result<Option<Format>, ApiError> {
    let kind = match format {
        OutputFormat::Free => return Ok(None),
        OutputFormat::JsonObject => Kind::JsonObject,
        OutputFormat::JsonSchema(schema) => {
            let parsed: Value = serde_json::from_str(schema)
                .map_err(|error| ApiError::invalid(format!("the JSON schema of the answer is not JSON: {error}")))?;
            if depth(&parsed) > MOST_DEPTH {
                let message = format!("the JSON schema is nested too deeply: {MOST_DEPTH} levels are allowed");
                return Err(ApiError::invalid(message));
            }
            let refused = |why: String| ApiError::invalid(format!("no answer can follow the JSON schema: {why}"));
            if !parsed.is_object() {
                return Err(refused("it is no object".into()));
            }
            // Before anybody follows its references.
            let size = schema_size::of(&parsed)?;
            let compiled = jsonschema::validator_for(&parsed).map_err(|error| refused(error.to_string()))?;
            Kind::JsonSchema((!size.is_endless).then(|| Box::new(compiled)))
        }
        OutputFormat::Regex(regex) if regex.contains('\0') => {
            return Err(ApiError::invalid("the regular expression must not have a NUL character"));
        }
        OutputFormat::Regex(regex) => {
            let refused = |why: String| ApiError::invalid(format!("the regular expression is not understood: {why}"));
            regex_syntax::parse(regex).map_err(|error| refused(error.to_string()))?;
            Kind::Regex(Regex::new(&format!("^(?:{regex})$")).map_err(|error| refused(error.to_string()))?)
        }
        OutputFormat::Choice(choices) if choices.is_empty() => {
            return Err(ApiError::invalid("structured_outputs: choice must not be an empty list"));
        }
        OutputFormat::Choice(choices) => Kind::Choice(choices.clone()),
        OutputFormat::Other(kind, _) => {
            return Err(ApiError::invalid(format!("structured outputs of the kind {kind:?} are not simulated")));
        }
    };
    Ok(Some(Format(kind)))
}

/// Fails if the schema of a tool's arguments is too large to be followed. What else is wrong with it is told by the
/// tool plugin.
pub(super) fn check_parameters(tool: &Tool) -> Result<(), ApiError> {
    let Ok(schema) = serde_json::from_str::<Value>(&tool.parameters) else { return Ok(()) };
    schema_size::of(&schema).map(drop).map_err(|error| {
        let name = &tool.name;
        ApiError::invalid(format!("the parameters of the tool {name:?}: {error}"))
    })
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
