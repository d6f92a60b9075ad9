//! JSON that comes whole, or in parts: `--name.part.of.it value`.

use serde_json::{Map, Value};

/// What was said `before` with `value` in it: as a whole, or at `path`, names with dots between them. Fails with what does
/// not fit together.
pub(super) fn merged(before: Option<&Value>, path: Option<&str>, value: String) -> Result<Value, String> {
    let mut object = match before {
        None => Map::new(),
        Some(Value::Object(object)) => object.clone(),
        Some(other) => match other.as_str().map(serde_json::from_str) {
            Some(Ok(object)) => object,
            _ => return Err(format!("{other}, which was given before, is not a JSON object")),
        },
    };
    match path {
        Some(path) => set(&mut object, path, &value).map_err(|at| format!("{at} is no object or list"))?,
        None => match serde_json::from_str::<Value>(&value) {
            Ok(Value::Object(given)) => object.extend(given),
            // What is wrong with it is said where the key is read.
            _ if before.is_none() => return Ok(Value::String(value)),
            _ => return Err(format!("{value:?} is not a JSON object")),
        },
    }
    Ok(Value::Object(object))
}

/// A `+` at the end of the path adds to a list. Fails with the name of what is in the way.
fn set(object: &mut Map<String, Value>, path: &str, value: &str) -> Result<(), String> {
    match path.split_once('.') {
        Some((name, rest)) => {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            set(inner.as_object_mut().ok_or_else(|| name.to_owned())?, rest, value)
        }
        None => {
            match path.strip_suffix('+') {
                Some(name) => {
                    let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                    list.as_array_mut().ok_or_else(|| name.to_owned())?.extend(value.split(',').map(parsed));
                }
                None => drop(object.insert(path.to_owned(), parsed(value))),
            }
            Ok(())
        }
    }
}

/// As in vLLM: JSON if it can be, else a number with a suffix, else text.
fn parsed(text: &str) -> Value {
    let with_suffix = || crate::config::large_number(text).map(|number| Value::from(number as i64));
    serde_json::from_str(text).ok().or_else(with_suffix).unwrap_or_else(|| Value::String(text.to_owned()))
}
