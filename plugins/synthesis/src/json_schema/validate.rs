//! Whether a schema admits a value. `format` is an annotation, as the specification has it, and references that leave the
//! document admit nothing.

mod evaluated;

use serde_json::{Map, Value};

use evaluated::Part;

use super::{REFERENCES, resolve, text};

/// References that are followed one inside the other.
const MAX_DEPTH: usize = 400;

/// Whether `schema` admits `value`.
///
/// ```
/// use rehearsal_synthesis::json_schema::is_valid;
/// use serde_json::json;
///
/// assert!(is_valid(&json!({ "type": "integer", "minimum": 5 }), &json!(6)));
/// assert!(!is_valid(&json!({ "type": "integer", "minimum": 5 }), &json!("six")));
/// ```
pub fn is_valid(schema: &Value, value: &Value) -> bool {
    is_admitted(schema, schema, value)
}

/// Whether `schema`, a part of `root`, admits `value`.
pub(super) fn is_admitted(root: &Value, schema: &Value, value: &Value) -> bool {
    Validator { root }.admits(schema, value, 0)
}

struct Validator<'a> {
    root: &'a Value,
}

impl Validator<'_> {
    fn admits(&self, schema: &Value, value: &Value, depth: usize) -> bool {
        let schema = match schema {
            Value::Bool(admits) => return *admits,
            Value::Object(schema) => schema,
            _ => return true,
        };
        if depth > MAX_DEPTH {
            return false;
        }
        let admits = |schema: &Value| self.admits(schema, value, depth + 1);
        let branches = |keyword: &str| schema.get(keyword).and_then(Value::as_array);
        let leads_to = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
        REFERENCES.into_iter().filter_map(leads_to).all(|reference| resolve(self.root, reference).is_ok_and(admits))
            && schema.get("type").is_none_or(|kind| has_type(kind, value))
            && schema.get("const").is_none_or(|constant| equal(constant, value))
            && branches("enum").is_none_or(|choices| choices.iter().any(|choice| equal(choice, value)))
            && branches("allOf").is_none_or(|all| all.iter().all(admits))
            && branches("anyOf").is_none_or(|any| any.iter().any(admits))
            && branches("oneOf").is_none_or(|one| one.iter().filter(|schema| admits(schema)).count() == 1)
            && schema.get("not").is_none_or(|not| !admits(not))
            && self.conditional(schema, value, depth)
            && match value {
                Value::Number(_) => number(schema, value.as_f64().unwrap_or(f64::NAN)),
                Value::String(string) => characters(schema, string),
                Value::Array(elements) => {
                    self.array(schema, elements, depth)
                        && self.all_evaluated(schema, "unevaluatedItems", value, depth, || {
                            elements.iter().enumerate().map(|(at, element)| (Part::Element(at, element), element))
                        })
                }
                Value::Object(object) => {
                    self.object(schema, value, object, depth)
                        && self.all_evaluated(schema, "unevaluatedProperties", value, depth, || {
                            object.iter().map(|(name, value)| (Part::Property(name), value))
                        })
                }
                Value::Null | Value::Bool(_) => true,
            }
    }

    fn conditional(&self, schema: &Map<String, Value>, value: &Value, depth: usize) -> bool {
        let Some(condition) = schema.get("if") else { return true };
        let branch = if self.admits(condition, value, depth + 1) { "then" } else { "else" };
        schema.get(branch).is_none_or(|branch| self.admits(branch, value, depth + 1))
    }

    fn array(&self, schema: &Map<String, Value>, elements: &[Value], depth: usize) -> bool {
        let admits = |schema: &Value, element: &Value| self.admits(schema, element, depth + 1);
        let prefix = schema.get("prefixItems").or_else(|| schema.get("items").filter(|items| items.is_array()));
        let prefix = prefix.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let rest = schema.get("items").filter(|items| !items.is_array()).or_else(|| schema.get("additionalItems"));
        let is_unique = || {
            elements.iter().enumerate().all(|(at, element)| !elements[..at].iter().any(|other| equal(other, element)))
        };
        within(schema, elements.len(), "minItems", "maxItems")
            && elements.iter().zip(prefix).all(|(element, schema)| admits(schema, element))
            && rest.is_none_or(|rest| elements.iter().skip(prefix.len()).all(|element| admits(rest, element)))
            && (schema.get("uniqueItems") != Some(&Value::Bool(true)) || is_unique())
            && schema.get("contains").is_none_or(|contains| {
                let found = elements.iter().filter(|element| admits(contains, element)).count();
                let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
                let is_enough = bound("minContains").unwrap_or(1.0) <= found as f64;
                is_enough && bound("maxContains").is_none_or(|most| found as f64 <= most)
            })
    }

    fn object(&self, schema: &Map<String, Value>, value: &Value, object: &Map<String, Value>, depth: usize) -> bool {
        let admits = |schema: &Value, value: &Value| self.admits(schema, value, depth + 1);
        let map = |keyword: &str| schema.get(keyword).and_then(Value::as_object);
        let has_all = |names: &Value| {
            names.as_array().into_iter().flatten().filter_map(Value::as_str).all(|name| object.contains_key(name))
        };
        let property = |(name, value): (&String, &Value)| {
            let mut evaluated = false;
            let mut check = |schema: &Value| {
                evaluated = true;
                admits(schema, value)
            };
            map("properties").and_then(|properties| properties.get(name)).is_none_or(&mut check)
                && map("patternProperties")
                    .into_iter()
                    .flatten()
                    .all(|(pattern, schema)| !text::matches(pattern, name) || check(schema))
                && (evaluated || schema.get("additionalProperties").is_none_or(|rest| admits(rest, value)))
                && schema.get("propertyNames").is_none_or(|names| admits(names, &Value::String(name.clone())))
        };
        let depends = |keyword: &str, holds: &dyn Fn(&Value) -> bool| {
            map(keyword).into_iter().flatten().all(|(name, demand)| !object.contains_key(name) || holds(demand))
        };
        within(schema, object.len(), "minProperties", "maxProperties")
            && schema.get("required").is_none_or(has_all)
            && object.iter().all(property)
            && depends("dependentRequired", &has_all)
            && depends("dependentSchemas", &|schema| admits(schema, value))
            // As older drafts said both.
            && depends("dependencies", &|demand| if demand.is_array() { has_all(demand) } else { admits(demand, value) })
    }
}

fn has_type(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| has_type(kind, value)),
        Value::String(kind) => match (kind.as_str(), value) {
            ("null", Value::Null) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => true,
            ("string", Value::String(_)) | ("array", Value::Array(_)) | ("object", Value::Object(_)) => true,
            ("integer", Value::Number(number)) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
            _ => false,
        },
        _ => true,
    }
}

/// 1 and 1.0 are the same number.
fn equal(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && one.as_f64() == other.as_f64())
}

fn within(schema: &Map<String, Value>, size: usize, least: &str, most: &str) -> bool {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    bound(least).is_none_or(|least| size as f64 >= least) && bound(most).is_none_or(|most| size as f64 <= most)
}

fn number(schema: &Map<String, Value>, number: f64) -> bool {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let excludes = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    let is_multiple = |step: f64| {
        let quotient = number / step;
        (quotient - quotient.round()).abs() < 1e-9 * quotient.abs().max(1.0)
    };
    bound("minimum").is_none_or(|least| number > least || (number == least && !excludes("exclusiveMinimum")))
        && bound("maximum").is_none_or(|most| number < most || (number == most && !excludes("exclusiveMaximum")))
        && bound("exclusiveMinimum").is_none_or(|least| number > least)
        && bound("exclusiveMaximum").is_none_or(|most| number < most)
        && bound("multipleOf").filter(|step| *step > 0.0).is_none_or(is_multiple)
}

fn characters(schema: &Map<String, Value>, string: &str) -> bool {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    within(schema, string.chars().count(), "minLength", "maxLength")
        && pattern.is_none_or(|pattern| text::matches(pattern, string))
}
