//! Numbers that `serde_json` has no value for: `NaN`, `Infinity`, and integers of more than 64 bits. They are kept as strings
//! that no client can send.

use serde_json::Value;

/// Begins such a string. No text has it: it is no character.
const NUMBER: char = '\u{10ffff}';

/// What stands for the number that is written so.
pub(super) fn value(text: &str) -> Value {
    Value::String(format!("{NUMBER}{text}"))
}

/// The number, as it was written, that `value` stands for.
pub(super) fn large_number(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix(NUMBER)
}
