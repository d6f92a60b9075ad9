//! What stands behind the question mark of a URL, checked as FastAPI checks it.

use serde_json::{Map, Value};

use super::errors::ApiError;
use super::invalid::Invalid;
use super::schema::{self, Field};
use crate::config::RequestLimits;

/// The fields that are known, as text; of one that comes twice the last counts.
/// Fails with what is wrong with any.
pub fn read(
    query: Vec<(String, String)>,
    known: &[Field],
    limits: &RequestLimits,
) -> Result<Map<String, Value>, ApiError> {
    let given: Map<_, _> = query.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    let mut invalid = Invalid::default();
    for field in known {
        if let Some(value) = given.get(field.name) {
            invalid.append(schema::check_value(value, &field.kind, &format!("query.{}", field.name), limits));
        }
    }
    invalid.or_ok()?;
    Ok(given)
}
