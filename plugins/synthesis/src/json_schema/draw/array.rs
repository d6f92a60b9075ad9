//! Draws an array: its length, then element by element.

use rehearsal_sdk::{Rng, RngExt};
use serde_json::{Map, Value, json};

use super::{DEEP, Draw, MOST_ELEMENTS, SHALLOW, leads_on};
use crate::json_schema::lengths::lengths;
use crate::json_schema::merge::both;
use crate::json_schema::short;
use crate::json_schema::validate::is_admitted;

/// Attempts at an element that differs from the others.
const UNIQUE_TRIES: usize = 32;

impl<R: Rng> Draw<'_, R> {
    pub(super) fn array(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Value, String> {
        let size = |keyword: &str| schema.get(keyword).and_then(Value::as_f64).map(|size| size as usize);
        let prefix = schema.get("prefixItems").or_else(|| schema.get("items").filter(|items| items.is_array()));
        let prefix = prefix.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (shortest, longest) = lengths(size("minItems"), size("maxItems"), self.bounds.array_length)?;
        // What may lead back here grows with every level.
        let reach = if schema.values().any(leads_on) { 2 * depth } else { depth };
        let length = match reach {
            DEEP.. => size("minItems").unwrap_or(0),
            SHALLOW.. => shortest,
            _ => self.rng.random_range(shortest..=longest),
        };
        let is_whole = schema.contains_key("maxItems") || reach >= DEEP;
        // None can stand where nothing is admitted.
        let most = prefix.iter().position(|schema| *schema == Value::Bool(false)).unwrap_or(usize::MAX);
        let length = if is_whole { length } else { length.max(prefix.len()) }.min(most);
        let rest = if schema.contains_key("prefixItems") {
            schema.get("items")
        } else {
            schema.get("items").filter(|items| !items.is_array())
        };
        let rest = rest.or_else(|| schema.get("additionalItems")).or_else(|| schema.get("unevaluatedItems"));
        let contained = schema.get("contains").filter(|_| size("maxContains") != Some(0));
        let n_contained = contained.map_or(0, |_| size("minContains").unwrap_or(1));
        // Those that are not named come first among those that it must contain.
        let contained =
            both(rest.cloned().unwrap_or(Value::Bool(true)), contained.cloned().unwrap_or(Value::Bool(true)));
        let rest = rest.cloned().unwrap_or(json!({ "type": "string" }));
        let length = if rest == Value::Bool(false) { length.min(prefix.len()) } else { length.max(n_contained) };
        if length > MOST_ELEMENTS {
            return Err(format!("an array of {length} elements is more than the {MOST_ELEMENTS} that are made up"));
        }
        let is_unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut elements: Vec<Value> = Vec::with_capacity(length);
        for index in 0..length {
            let is_contained = index < prefix.len() + n_contained;
            let element_schema = prefix.get(index).unwrap_or(if is_contained { &contained } else { &rest });
            let mut element = self.value(element_schema, depth + 1)?;
            let mut tries = 0;
            while is_unique && elements.contains(&element) && tries < UNIQUE_TRIES {
                element = self.value(element_schema, depth + 1)?;
                tries += 1;
                // There are only so many words.
                if let Value::String(word) = &element {
                    let numbered = Value::String(format!("{word} {index}"));
                    if is_admitted(self.root, element_schema, &numbered) {
                        element = numbered;
                    }
                }
            }
            if is_unique && elements.contains(&element) {
                if elements.len() >= shortest {
                    break;
                }
                return Err(format!("{shortest} different elements were not found for {}", short(element_schema)));
            }
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }
}
