//! Formats that an answer can be given.

use rehearsal_engine::request::OutputFormat;
use serde_json::Value;

use crate::wire::errors::ApiError;

/// Deeper, a schema is refused.
const MOST_DEPTH: usize = 64;

/// Fails if no answer could have this format, or if it is of a kind that is not simulated.
pub(super) fn check(format: &OutputFormat) -> Result<(), ApiError> {
    match format {
        OutputFormat::Free | OutputFormat::JsonObject => Ok(()),
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
            let compiled = jsonschema::validator_for(&parsed);
            compiled.map(drop).map_err(|error| refused(error.to_string()))
        }
        OutputFormat::Regex(regex) if regex.contains('\0') => {
            Err(ApiError::invalid("the regular expression must not have a NUL character"))
        }
        OutputFormat::Regex(regex) => {
            let parsed = regex_syntax::parse(regex);
            parsed
                .map(drop)
                .map_err(|error| ApiError::invalid(format!("the regular expression is not understood: {error}")))
        }
        OutputFormat::Choice(choices) if choices.is_empty() => {
            Err(ApiError::invalid("structured_outputs: choice must not be an empty list"))
        }
        OutputFormat::Choice(_) => Ok(()),
        OutputFormat::Other(kind, _) => {
            Err(ApiError::invalid(format!("structured outputs of the kind {kind:?} are not simulated")))
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
