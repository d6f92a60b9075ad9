//! What is in force, as a file that says the same.

use serde_json::Value;

use super::keys;
use super::names::specs;
use crate::config::{Settings, Takes};

/// Every key with its value and where that came from, as YAML. What the user did not say, what cannot stand in a file
/// and what must not be shown are comments.
pub(super) fn yaml(settings: &Settings) -> String {
    let mut text = String::new();
    let mut topic = None;
    for spec in specs().filter(|spec| spec.name != keys::CONFIG.spec.name) {
        if topic != Some(spec.topic) {
            topic = Some(spec.topic);
            text += &format!("\n## {}\n", spec.topic.title());
        }
        // A path with a line break must not end its comment.
        let line = |value: &str, origin: &str| format!("{}: {value}  # {}\n", spec.name, origin.escape_debug());
        text += &match settings.get(spec) {
            Some((_, origin)) if spec.is_secret => format!("# {}", line("(not shown)", &origin.to_string())),
            Some((value, origin)) if spec.takes == Takes::Environment => {
                format!("# {}", line(&scalar(value), &origin.to_string()))
            }
            Some((value, origin)) => line(&scalar(value), &origin.to_string()),
            None if spec.default.is_empty() => format!("# {}:\n", spec.name),
            None => format!("# {}", line(&scalar(&Value::String(spec.default.to_owned())), "default")),
        };
    }
    text.trim_start().to_owned()
}

/// On one line: JSON is YAML too. Plain words and numbers go without quotes.
fn scalar(value: &Value) -> String {
    // What YAML would read as another text, such as 1.10 or 0x10, is quoted.
    let is_plain = |text: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
            && serde_yaml_ng::from_str::<Value>(text).is_ok_and(|read| match read {
                Value::String(read) => read == text,
                Value::Number(number) => number.to_string() == text,
                Value::Bool(switch) => switch.to_string() == text,
                _ => false,
            })
    };
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}
