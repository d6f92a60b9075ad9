//! JSON values for JSON Schemas (draft 2020-12, and what older drafts share with it).
//!
//! A value is drawn keyword by keyword and then validated, each part of it and the whole; what drawing does not know
//! (`not`, `if`, `contains`, …) is met by drawing again, the whole up to [`TRIES`] times.

mod draw;
mod lengths;
mod merge;
mod numbers;
mod text;
mod validate;

use rehearsal_sdk::Rng;
use serde_json::Value;

pub use validate::is_valid;

/// Draws before a schema is given up.
pub const TRIES: usize = 64;

/// What fills the sides that a schema leaves open.
///
/// ```
/// use rehearsal_sdk::rng;
/// use rehearsal_synthesis::json_schema::{Bounds, value_for};
///
/// let bounds = Bounds { integer: (7, 7), ..Bounds::default() };
/// assert_eq!(value_for(&serde_json::json!({ "type": "integer" }), &bounds, &mut rng(1)).unwrap(), 7);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// Least and greatest integer.
    pub integer: (i64, i64),
    /// Least and greatest number.
    pub number: (f64, f64),
    /// Shortest and longest array.
    pub array_length: (usize, usize),
    /// Chance, in percent, of a property of the outermost object that is not required.
    pub optional_property: u8,
    /// The same for objects further in.
    pub optional_field: u8,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            integer: (0, 100),
            number: (0.0, 100.0),
            array_length: (1, 5),
            optional_property: 50,
            optional_field: 50,
        }
    }
}

/// A value that `schema` admits.
///
/// # Errors
/// Why there is none, or why none was found.
///
/// ```
/// use rehearsal_sdk::rng;
/// use rehearsal_synthesis::json_schema;
///
/// let schema = serde_json::json!({ "type": "integer", "minimum": 5, "multipleOf": 3, "maximum": 8 });
/// let value = json_schema::value_for(&schema, &Default::default(), &mut rng(1)).unwrap();
/// assert_eq!(value, 6);
/// ```
pub fn value_for(schema: &Value, bounds: &Bounds, rng: &mut impl Rng) -> Result<Value, String> {
    let mut draw = draw::Draw::new(schema, bounds, rng);
    let mut reason = String::new();
    for _ in 0..TRIES {
        match draw.value(schema, 0) {
            Ok(value) => return Ok(value),
            Err(unsatisfiable) => reason = unsatisfiable,
        }
        if draw.is_exhausted() {
            return Err(format!("gave up after {} attempts: {reason}", draw.tried()));
        }
    }
    Err(reason)
}

/// A text that the regular expression `pattern` matches from its first character to its last, as far as anchors and word
/// boundaries within it allow.
pub(crate) fn text_matching(pattern: &str, rng: &mut impl Rng) -> Result<String, String> {
    text::matching(pattern, (0, usize::MAX), rng)
}

/// Keywords that lead to another schema. What is dynamic about the second is not followed.
const REFERENCES: [&str; 2] = ["$ref", "$dynamicRef"];

/// What a reference points to, within the same document.
fn resolve<'a>(root: &'a Value, reference: &str) -> Result<&'a Value, String> {
    let pointer = reference.strip_prefix('#').ok_or_else(|| format!("$ref {reference:?} leaves the schema"))?;
    let target = if pointer.is_empty() || pointer.starts_with('/') {
        root.pointer(&percent_decoded(pointer))
    } else {
        anchored(root, pointer)
    };
    target.ok_or_else(|| format!("$ref {reference:?} leads nowhere"))
}

/// The part of a schema that calls itself `name`.
fn anchored<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    match schema {
        Value::Object(object)
            if ["$anchor", "$dynamicAnchor"].iter().any(|anchor| object.get(*anchor) == Some(&name.into())) =>
        {
            Some(schema)
        }
        Value::Object(object) => object.values().find_map(|part| anchored(part, name)),
        Value::Array(parts) => parts.iter().find_map(|part| anchored(part, name)),
        _ => None,
    }
}

/// A fragment of a URI as it is meant; what is no escape stays as it is.
fn percent_decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| *first == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A schema as a message may repeat it.
fn short(schema: &Value) -> String {
    let text = schema.to_string();
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
