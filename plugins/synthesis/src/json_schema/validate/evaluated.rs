//! `unevaluatedItems` and `unevaluatedProperties`: what no other part of a schema has looked at.

use serde_json::{Map, Value};

use super::{MAX_DEPTH, Validator};
use crate::json_schema::{REFERENCES, resolve, text};

/// Part of an array or an object.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    /// Where, and what.
    Element(usize, &'a Value),
    /// By its name.
    Property(&'a str),
}

impl Validator<'_> {
    /// Whether what `schema` has not looked at in `value` is as `keyword` wants it.
    pub(super) fn all_evaluated<'b, P: Iterator<Item = (Part<'b>, &'b Value)>>(
        &self,
        schema: &Map<String, Value>,
        keyword: &str,
        value: &Value,
        depth: usize,
        parts: impl FnOnce() -> P,
    ) -> bool {
        let Some(rest) = schema.get(keyword) else { return true };
        parts()
            .all(|(part, content)| self.looks_at(schema, value, part, depth) || self.admits(rest, content, depth + 1))
    }

    /// Whether a schema that admits `value` has looked at a part of it, its own `unevaluated…` aside.
    fn looks_at(&self, schema: &Map<String, Value>, value: &Value, part: Part<'_>, depth: usize) -> bool {
        let has = |keyword: &str| schema.contains_key(keyword);
        let own = match part {
            Part::Property(name) => {
                let map = |keyword: &str| schema.get(keyword).and_then(Value::as_object);
                has("additionalProperties")
                    || map("properties").is_some_and(|properties| properties.contains_key(name))
                    || map("patternProperties").into_iter().flatten().any(|(pattern, _)| text::matches(pattern, name))
            }
            Part::Element(at, element) => {
                let prefix = schema.get("prefixItems").or(schema.get("items")).and_then(Value::as_array);
                has("additionalItems")
                    || schema.get("items").is_some_and(|items| !items.is_array())
                    || prefix.is_some_and(|prefix| at < prefix.len())
                    || schema.get("contains").is_some_and(|contains| self.admits(contains, element, depth + 1))
            }
        };
        own || self.in_place(schema, value).any(|inner| self.has_looked_at(inner, value, part, depth + 1))
    }

    /// The same for a schema inside another, if it admits the value.
    fn has_looked_at(&self, schema: &Value, value: &Value, part: Part<'_>, depth: usize) -> bool {
        let Some(object) = schema.as_object().filter(|_| depth < MAX_DEPTH) else { return false };
        let unevaluated = match part {
            Part::Property(_) => "unevaluatedProperties",
            Part::Element(..) => "unevaluatedItems",
        };
        self.admits(schema, value, depth)
            && (object.contains_key(unevaluated) || self.looks_at(object, value, part, depth))
    }

    /// The schemas in another that speak of the same value, and may admit it.
    fn in_place<'b>(&'b self, schema: &'b Map<String, Value>, value: &'b Value) -> impl Iterator<Item = &'b Value> {
        let references = REFERENCES.iter().filter_map(|keyword| schema.get(*keyword)?.as_str());
        let targets = references.filter_map(|reference| resolve(self.root, reference).ok());
        let branches = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|keyword| schema.get(keyword)?.as_array());
        let condition = schema.get("if");
        let holds = condition.is_some_and(|condition| self.admits(condition, value, 0));
        let conditional = [condition, schema.get(if holds { "then" } else { "else" }).filter(|_| condition.is_some())];
        let dependent = schema.get("dependentSchemas").and_then(Value::as_object).into_iter().flatten();
        let dependent = dependent.filter(|(name, _)| value.get(name.as_str()).is_some()).map(|(_, schema)| schema);
        targets.chain(branches.flatten()).chain(conditional.into_iter().flatten()).chain(dependent)
    }
}
