//! Formats that an answer can be given, and whether it has them.

use std::collections::HashMap;

use jsonschema::Validator;
use regex_lite::Regex;
use rehearsal_engine::request::{OutputFormat, Tool};
use serde_json::Value;

use crate::wire::errors::ApiError;

/// Deeper, a schema is refused.
const MOST_DEPTH: usize = 64;

/// With more objects in it, references followed, a schema is refused.
const MOST_PARTS: usize = 1_000;

/// Parts of a schema that count only where a reference leads to them.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

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
            let compiled = jsonschema::validator_for(&parsed).map_err(|error| refused(error.to_string()))?;
            Kind::JsonSchema(match size(&parsed, &parsed, &mut HashMap::new())? {
                Size::Parts(_) => Some(Box::new(compiled)),
                Size::Endless => None,
            })
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
    size(&schema, &schema, &mut HashMap::new()).map(drop).map_err(|error| {
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

/// How large a schema is with all references in it replaced by what they lead to.
#[derive(Debug, Clone, Copy)]
enum Size {
    Parts(usize),
    /// They lead back to themselves.
    Endless,
}

/// Of `schema`, a part of `root`. `known` has the sizes of what references lead to, and those that are being found out.
/// Fails if it is too large: whoever follows it would follow it for ever.
fn size(root: &Value, schema: &Value, known: &mut HashMap<String, Option<Size>>) -> Result<Size, ApiError> {
    let mut parts = usize::from(schema.is_object());
    let children: Box<dyn Iterator<Item = &Value>> = match schema {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(object) => {
            Box::new(object.iter().filter(|(name, _)| !DEFINITIONS.contains(&name.as_str())).map(|(_, part)| part))
        }
        _ => return Ok(Size::Parts(0)),
    };
    for child in children {
        match size(root, child, known)? {
            Size::Parts(more) => parts += more,
            Size::Endless => return Ok(Size::Endless),
        }
    }
    if let Some(reference) = schema["$ref"].as_str() {
        match referenced(root, reference, known)? {
            Size::Parts(more) => parts += more,
            Size::Endless => return Ok(Size::Endless),
        }
    }
    if schema.get("$dynamicRef").is_some() || schema.get("$recursiveRef").is_some() {
        return Ok(Size::Endless);
    }
    if parts > MOST_PARTS {
        let message = format!("the JSON schema is too large: its references lead to more than {MOST_PARTS} parts");
        return Err(ApiError::invalid(message));
    }
    Ok(Size::Parts(parts))
}

fn referenced(root: &Value, reference: &str, known: &mut HashMap<String, Option<Size>>) -> Result<Size, ApiError> {
    match known.get(reference) {
        Some(Some(size)) => return Ok(*size),
        Some(None) => return Ok(Size::Endless),
        None => {}
    }
    known.insert(reference.to_owned(), None);
    // What is no pointer is looked up by the validator in its own way.
    let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
    let size = target.map_or(Ok(Size::Endless), |target| size(root, target, known))?;
    known.insert(reference.to_owned(), Some(size));
    Ok(size)
}
