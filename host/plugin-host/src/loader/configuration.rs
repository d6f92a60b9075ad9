//! A plugin's configuration against the schema that the plugin gives.

use crate::error::LoadProblem;

/// `schema`: JSON text; `None` admits everything.
pub(super) fn check_config(schema: Option<&str>, config: &serde_json::Value) -> Result<(), LoadProblem> {
    let Some(schema) = schema else { return Ok(()) };
    let bad_schema = |error: &dyn std::fmt::Display| LoadProblem::BadSchema(error.to_string());
    let schema: serde_json::Value = serde_json::from_str(schema).map_err(|error| bad_schema(&error))?;
    let validator = jsonschema::validator_for(&schema).map_err(|error| bad_schema(&error))?;
    // The validator would not name the key.
    if let Some(key) = unknown_key(&schema, config) {
        return Err(LoadProblem::UnknownConfigKey(key.to_owned()));
    }
    validator
        .validate(config)
        .map_err(|error| LoadProblem::BadConfig { at: error.instance_path().to_string(), message: error.to_string() })
}

fn unknown_key<'a>(schema: &serde_json::Value, config: &'a serde_json::Value) -> Option<&'a str> {
    if schema["additionalProperties"] != serde_json::Value::Bool(false) {
        return None;
    }
    let mut keys = config.as_object()?.keys();
    keys.find(|key| schema["properties"].get(key).is_none()).map(String::as_str)
}
