//! Long lists of token ids. As JSON values they would take five times what they take as text; so they are kept as text, in
//! strings that no client sends, until they become ids.

use serde::Deserializer;
use serde::de::{self, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Begins such a string. No text has it: it is no character.
const IDS: char = '\u{10fffe}';

/// Fields of requests that may have many ids: a list of them, or a list of such lists.
const FIELDS: [&str; 4] = ["prompt", "token_ids", "tokens", "input"];

/// Digits of an id that is sure to fit into 32 bits. What has more is an error, which is to tell it exactly.
const MOST_DIGITS: usize = 9;

/// A JSON object whose long lists of ids are kept as text; fails where the body is anything else.
pub(super) fn object(body: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let object = deserializer.deserialize_map(Object)?;
    deserializer.end()?;
    Ok(Value::Object(object))
}

/// The ids that `value` stands for; `None` if it is no such list.
pub(crate) fn ids(value: &Value) -> Option<Vec<u32>> {
    let text = text(value)?;
    let mut ids = Vec::with_capacity(count(text));
    ids.extend(items(text).map(|id| id.parse::<u32>().unwrap_or(u32::MAX)));
    Some(ids)
}

/// The first of them as a value, and how many there are.
pub(super) fn first_and_count(value: &Value) -> Option<(Value, usize)> {
    let text = text(value)?;
    let first = items(text).next()?.parse::<u32>().ok()?;
    Some((first.into(), count(text)))
}

/// The list as JSON.
fn text(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix(IDS).filter(|text| is_list(text))
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text[1..text.len() - 1].split(',').map(str::trim_ascii)
}

fn count(text: &str) -> usize {
    1 + text.bytes().filter(|byte| *byte == b',').count()
}

/// Whether it is a list of short whole numbers, at least one. Of what is JSON, that is.
fn is_list(json: &str) -> bool {
    let Some(inside) = json.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    let mut n_digits = 0;
    let is_fine = inside.bytes().all(|byte| match byte {
        b'0'..=b'9' => {
            n_digits += 1;
            n_digits <= MOST_DIGITS
        }
        b',' => {
            n_digits = 0;
            true
        }
        b' ' | b'\n' | b'\r' | b'\t' => true,
        _ => false,
    });
    is_fine && inside.bytes().any(|byte| byte.is_ascii_digit())
}

/// One list, or a list of lists; any other value as it is.
fn compact(raw: &RawValue) -> serde_json::Result<Value> {
    let json = raw.get();
    if is_list(json) {
        return Ok(Value::String(format!("{IDS}{json}")));
    }
    let is_list_of_lists = json.strip_prefix('[').is_some_and(|rest| rest.trim_ascii_start().starts_with('['));
    if !is_list_of_lists {
        return serde_json::from_str(json);
    }
    let lists: Vec<&RawValue> = serde_json::from_str(json)?;
    let list = |list: &RawValue| if is_list(list.get()) { compact(list) } else { serde_json::from_str(list.get()) };
    lists.into_iter().map(list).collect::<serde_json::Result<_>>().map(Value::Array)
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = if FIELDS.contains(&name.as_str()) {
                compact(entries.next_value::<&RawValue>()?).map_err(de::Error::custom)?
            } else {
                entries.next_value()?
            };
            object.insert(name, value);
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &str) -> Map<String, Value> {
        let Value::Object(object) = object(body.as_bytes()).unwrap() else { panic!("{body}") };
        object
    }

    #[test]
    fn lists_of_ids_are_kept_as_text_and_nothing_else_is() {
        let object = read(
            r#"{"n": [1, 2], "prompt": [10, 2,
            300], "input": [[1,2],[3]], "tokens": [1.5], "token_ids": [1, 4294967296], "x": {"prompt": [1]}}"#,
        );
        assert_eq!(ids(&object["prompt"]), Some(vec![10, 2, 300]));
        assert_eq!(first_and_count(&object["prompt"]), Some((json!(10), 3)));
        let lists = object["input"].as_array().unwrap();
        assert_eq!(lists.iter().map(ids).collect::<Vec<_>>(), [Some(vec![1, 2]), Some(vec![3])]);
        assert_eq!((&object["n"], &object["tokens"]), (&json!([1, 2]), &json!([1.5])));
        assert_eq!((&object["token_ids"], &object["x"]), (&json!([1, 4_294_967_296_u64]), &json!({ "prompt": [1] })));
        for given in [r#"{"prompt": []}"#, r#"{"prompt": "text"}"#, r#"{"prompt": ["a", [1]]}"#, r#"{"prompt": [[]]}"#]
        {
            assert_eq!(Value::Object(read(given)), serde_json::from_str::<Value>(given).unwrap());
        }
        for wrong in [r#"{"prompt": [1,]}"#, r#"{"prompt": [01]}"#, r#"{"prompt": [1] "#, "[1]", r#"{"a": 1} 2"#] {
            assert!(super::object(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_text_that_a_client_makes_look_like_it_is_a_text() {
        let given = read(r#"{"prompt": "\udbff\udffeabc"}"#);
        assert_eq!(ids(&given["prompt"]), None);
    }
}
