//! What is in force, as a file that says the same.

use serde_json::Value;

use super::Settings;
use crate::config::{Takes, specs};

/// Every key with its value and where that came from, as YAML. What the user did not say, what cannot stand in a file
/// and what must not be shown are comments.
pub(super) fn yaml(settings: &Settings) -> String {
    let mut text = String::new();
    let mut topic = None;
    for spec in specs().filter(|spec| spec.name != super::CONFIG.spec.name) {
        if topic != Some(spec.topic) {
            topic = Some(spec.topic);
            text += &format!("\n## {}\n", spec.topic.title());
        }
        let line = |value: &str, origin: &str| format!("{}: {value}  # {origin}\n", spec.name);
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
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
            && serde_yaml_ng::from_str::<Value>(text).is_ok_and(|read| !read.is_null())
    };
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}
