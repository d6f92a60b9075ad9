//! Draws an object: what it must have, what it may have, and what fills it up.

use rehearsal_sdk::{Rng, RngExt};
use serde_json::{Map, Value, json};

use super::{Draw, MOST_ELEMENTS, SHALLOW};
use crate::json_schema::text;

/// Names for properties that the schema demands without naming them.
const NAMES: [&str; 8] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];

impl<R: Rng> Draw<'_, R> {
    pub(super) fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Value, String> {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let required = required(schema);
        let size = |keyword: &str| schema.get(keyword).and_then(Value::as_f64).map(|size| size as usize);
        let most = size("maxProperties").unwrap_or(usize::MAX);
        let chance = if depth == 0 { self.bounds.optional_property } else { self.bounds.optional_field };

        let mut object = Map::new();
        for name in &required {
            let property = self.property_schema(schema, properties, name);
            object.insert((*name).to_owned(), self.value(&property, depth + 1)?);
        }
        let fewest = size("minProperties").unwrap_or(0);
        if fewest > MOST_ELEMENTS {
            return Err(format!("an object of {fewest} properties is more than the {MOST_ELEMENTS} that are made up"));
        }
        for (name, property) in properties {
            let is_wanted = depth < SHALLOW && !self.is_sparse && self.rng.random_range(0..100) < u32::from(chance);
            if !object.contains_key(name) && object.len() < most && (is_wanted || object.len() < fewest) {
                // One that cannot be had need not be there.
                if let Ok(value) = self.value(property, depth + 1) {
                    object.insert(name.clone(), value);
                }
            }
        }
        for number in 0..fewest {
            let name = NAMES[number % NAMES.len()];
            let name = if number < NAMES.len() { name.to_owned() } else { format!("{name}{}", number / NAMES.len()) };
            if object.len() < fewest && !object.contains_key(&name) {
                let property = self.property_schema(schema, properties, &name);
                object.insert(name, self.value(&property, depth + 1)?);
            }
        }
        Ok(Value::Object(object))
    }

    /// What the schema says of a property, named or not.
    fn property_schema(&self, schema: &Map<String, Value>, properties: &Map<String, Value>, name: &str) -> Value {
        if let Some(property) = properties.get(name) {
            return property.clone();
        }
        let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
        let mut matching =
            patterns.filter(|(pattern, _)| text::matches(pattern, name)).map(|(_, property)| property.clone());
        matching
            .next_back()
            .or_else(|| schema.get("additionalProperties").or_else(|| schema.get("unevaluatedProperties")).cloned())
            .unwrap_or(json!({ "type": "string" }))
    }
}

/// The properties that an object must have, and those that they demand.
fn required(schema: &Map<String, Value>) -> Vec<&str> {
    fn names(list: Option<&Value>) -> impl Iterator<Item = &str> {
        list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
    let mut required: Vec<_> = names(schema.get("required")).collect();
    let mut looked_at = 0;
    while let Some(name) = required.get(looked_at).copied() {
        for keyword in ["dependentRequired", "dependencies"] {
            for demanded in names(schema.get(keyword).and_then(|demands| demands.get(name))) {
                if !required.contains(&demanded) {
                    required.push(demanded);
                }
            }
        }
        looked_at += 1;
    }
    required
}
