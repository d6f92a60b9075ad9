//! Formats that a request may ask for, and whether an answer has them.

use rehearsal_engine::request::OutputFormat;
use serde_json::{Value, json};

/// Each with what is special about it.
pub(super) fn all() -> [(&'static str, OutputFormat); 4] {
    let schema = json!({
        "type": "object",
        "properties": {
            "city": { "type": "string", "minLength": 1 },
            "degrees": { "type": "integer", "minimum": -50, "maximum": 50 },
            "sky": { "enum": ["clear", "cloudy"] },
        },
        "required": ["city", "degrees", "sky"],
        "additionalProperties": false,
    });
    [
        ("json_object", OutputFormat::JsonObject),
        ("json_schema", OutputFormat::JsonSchema(schema.to_string())),
        ("choice", OutputFormat::Choice(vec!["yes".into(), "no".into()])),
        ("regex", OutputFormat::Regex(r"[A-Z]{2}-\d{3}".into())),
    ]
}

/// Fails if `text` is not as the `format` demands.
pub(super) fn fits(text: &str, format: &OutputFormat) -> Result<(), String> {
    let json = || serde_json::from_str::<Value>(text).map_err(|error| format!("{text:?} is no JSON: {error}"));
    match format {
        OutputFormat::Free | OutputFormat::Other(..) => Ok(()),
        OutputFormat::JsonObject => {
            if json()?.is_object() {
                Ok(())
            } else {
                Err(format!("{text:?} is no JSON object"))
            }
        }
        OutputFormat::JsonSchema(schema) => {
            let schema = serde_json::from_str(schema).map_err(|error| error.to_string())?;
            let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
            validator.validate(&json()?).map_err(|error| format!("{text:?} does not fit: {error}"))
        }
        OutputFormat::Choice(choices) => {
            if choices.iter().any(|choice| choice == text) {
                Ok(())
            } else {
                Err(format!("{text:?} is none of {choices:?}"))
            }
        }
        OutputFormat::Regex(expression) => {
            let whole = regex_lite::Regex::new(&format!("^(?:{expression})$")).map_err(|error| error.to_string())?;
            if whole.is_match(text) { Ok(()) } else { Err(format!("{text:?} does not match {expression}")) }
        }
    }
}
