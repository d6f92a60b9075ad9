//! Two schemas in one: what both admit, as far as drawing needs it. What cannot be merged stays side by side in
//! `allOf` of the original, which the result is validated against.

use serde_json::{Map, Value, json};

/// `right` added to `left`.
pub(super) fn merge(mut left: Map<String, Value>, right: Map<String, Value>) -> Map<String, Value> {
    for (keyword, value) in right {
        // Nothing is demanded twice: what leads to the same place from two sides would grow with every step.
        if left.get(&keyword) == Some(&value) {
            continue;
        }
        // Two of these cannot be made one: the second is kept for later.
        if left.contains_key(&keyword) && matches!(keyword.as_str(), "$ref" | "anyOf" | "oneOf") {
            let more = json!({ keyword: value });
            match left.entry("allOf").or_insert_with(|| json!([])) {
                Value::Array(all) => all.push(more),
                other => *other = json!([more]),
            }
            continue;
        }
        let merged = match left.remove(&keyword) {
            None => value,
            Some(old) => merge_keyword(&keyword, old, value),
        };
        left.insert(keyword, merged);
    }
    left
}

fn merge_keyword(keyword: &str, old: Value, new: Value) -> Value {
    match (keyword, old, new) {
        ("type", old, new) => common_types(&old, &new),
        ("enum", Value::Array(old), Value::Array(new)) => {
            Value::Array(old.into_iter().filter(|value| new.contains(value)).collect())
        }
        ("required", Value::Array(mut old), Value::Array(new)) => {
            old.extend(new);
            old.dedup();
            Value::Array(old)
        }
        ("properties" | "patternProperties", Value::Object(mut old), Value::Object(new)) => {
            for (name, schema) in new {
                let both = match old.remove(&name) {
                    Some(before) => both(before, schema),
                    None => schema,
                };
                old.insert(name, both);
            }
            Value::Object(old)
        }
        ("items" | "additionalProperties", old, new) => both(old, new),
        ("allOf", Value::Array(mut old), Value::Array(new)) => {
            old.extend(new);
            Value::Array(old)
        }
        ("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties", old, new) => {
            if old.as_f64() >= new.as_f64() { old } else { new }
        }
        ("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties", old, new) => {
            if old.as_f64() <= new.as_f64() { old } else { new }
        }
        ("multipleOf", old, new) => least_common(&old, &new).unwrap_or(new),
        (_, _, new) => new,
    }
}

/// What both admit.
pub(super) fn both(old: Value, new: Value) -> Value {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            // Each may have combinators of its own.
            json!({ "allOf": [old, new] })
        }
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), other) | (other, _) => other,
    }
}

fn common_types(old: &Value, new: &Value) -> Value {
    let list = |value: &Value| match value {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let new = list(new);
    let narrow = |kind: &Value| match kind.as_str() {
        Some("number") if !new.contains(kind) && new.contains(&json!("integer")) => Some(json!("integer")),
        Some("integer") if new.contains(&json!("number")) => Some(kind.clone()),
        _ => new.contains(kind).then(|| kind.clone()),
    };
    Value::Array(list(old).iter().filter_map(narrow).collect())
}

fn least_common(old: &Value, new: &Value) -> Option<Value> {
    let (old, new) = (old.as_u64()?, new.as_u64()?);
    let (mut a, mut b) = (old, new);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (a != 0).then(|| json!(old / a * new))
}
