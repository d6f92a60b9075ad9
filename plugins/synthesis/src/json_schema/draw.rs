//! Draws a value keyword by keyword.

mod array;
mod object;

use rehearsal_sdk::{Rng, RngExt};
use serde_json::{Map, Value};

use super::merge::merge;
use super::validate::is_admitted;
use super::{Bounds, REFERENCES, numbers, resolve, short, text};

/// Past this depth objects and arrays are small, and what does not lead deeper is preferred: recursive schemas end.
const SHALLOW: usize = 4;

/// Past this depth arrays are as small as the schema lets them be, whatever the bounds say.
const DEEP: usize = 2 * SHALLOW;

/// Past this depth a schema cannot be ended.
const TOO_DEEP: usize = 100;

/// References and combinators that lead to one another.
const TOO_MANY_STEPS: usize = 64;

/// Attempts at each part of a value, so that the parts' chances do not multiply.
const PART_TRIES: usize = 16;

/// Attempts that fail, at all parts together: a schema that nothing satisfies must be given up in time.
const MOST_FAILURES: usize = 2_000;

/// Attempts, at all parts together. What succeeds is done again where what is around it fails.
const MOST_TRIES: usize = 25_000;

/// Elements of an array, or properties of an object, that are made up.
const MOST_ELEMENTS: usize = 2_000;

/// One attempt.
pub(super) struct Draw<'a, R> {
    root: &'a Value,
    bounds: &'a Bounds,
    rng: &'a mut R,
    tried: usize,
    failed: usize,
    /// What need not be there is left out: it may be what is in the way.
    is_sparse: bool,
    /// What failed first: the most telling, once all tries are spent.
    first_reason: Option<String>,
}

impl<'a, R: Rng> Draw<'a, R> {
    pub(super) fn new(root: &'a Value, bounds: &'a Bounds, rng: &'a mut R) -> Self {
        Self { root, bounds, rng, tried: 0, failed: 0, is_sparse: false, first_reason: None }
    }

    /// Whether no more attempts will be made.
    pub(super) fn is_exhausted(&self) -> bool {
        self.failed == MOST_FAILURES || self.tried == MOST_TRIES
    }

    /// Attempts so far.
    pub(super) fn tried(&self) -> usize {
        self.tried
    }

    /// A value that `schema` admits, `depth` objects and arrays below the root.
    pub(super) fn value(&mut self, schema: &Value, depth: usize) -> Result<Value, String> {
        let mut reason = String::new();
        let was_sparse = self.is_sparse;
        for tried in 0..PART_TRIES {
            if self.is_exhausted() {
                break;
            }
            self.tried += 1;
            self.is_sparse = was_sparse || tried >= PART_TRIES / 2;
            let attempt = self.attempt(schema, depth);
            self.is_sparse = was_sparse;
            match attempt {
                Ok(value) if is_admitted(self.root, schema, &value) => return Ok(value),
                Ok(_) => {}
                Err(unsatisfiable) => {
                    self.first_reason.get_or_insert_with(|| unsatisfiable.clone());
                    reason = unsatisfiable;
                }
            }
            self.failed = (self.failed + 1).min(MOST_FAILURES);
        }
        if self.is_exhausted()
            && let Some(first) = &self.first_reason
        {
            return Err(first.clone());
        }
        // It may have some all the same.
        if reason.is_empty() { Err(format!("no value was hit upon for {}", short(schema))) } else { Err(reason) }
    }

    fn attempt(&mut self, schema: &Value, depth: usize) -> Result<Value, String> {
        if depth > TOO_DEEP {
            return Err(format!("the schema has no end: {}", short(schema)));
        }
        let schema = match schema {
            Value::Bool(false) => return Err("a part of the schema is `false`, which admits nothing".into()),
            Value::Bool(true) => return Ok(Value::String(text::word(self.rng))),
            Value::Object(schema) => self.flatten(schema.clone(), depth, 0)?,
            other => return Err(format!("{} is not a schema", short(other))),
        };
        if let Some(constant) = schema.get("const") {
            return Ok(constant.clone());
        }
        if let Some(choices) = schema.get("enum") {
            let choices = choices.as_array().filter(|choices| !choices.is_empty());
            let choices = choices.ok_or("an `enum` has no values")?;
            return Ok(self.pick(choices).clone());
        }
        // Models like defaults, but not always.
        if let Some(default) = schema.get("default")
            && self.rng.random_ratio(1, 4)
        {
            return Ok(default.clone());
        }
        match self.kind(&schema, depth)?.as_str() {
            "null" => Ok(Value::Null),
            "boolean" => Ok(Value::Bool(self.rng.random())),
            "integer" => numbers::integer(&schema, self.bounds, self.rng),
            "number" => numbers::number(&schema, self.bounds, self.rng),
            "string" => text::string(&schema, self.rng).map(Value::String),
            "array" => self.array(&schema, depth),
            "object" => self.object(&schema, depth),
            other => Err(format!("{other:?} is not a type of JSON Schema")),
        }
    }

    /// Follows `$ref` and merges one branch of each combinator into the schema around it.
    fn flatten(
        &mut self,
        mut schema: Map<String, Value>,
        depth: usize,
        steps: usize,
    ) -> Result<Map<String, Value>, String> {
        if steps > TOO_MANY_STEPS {
            // It cost as much as many attempts, and the next one will hardly be luckier.
            self.failed = (self.failed + MOST_FAILURES / 10).min(MOST_FAILURES);
            return Err("a `$ref` leads to itself".into());
        }
        let mut parts = Vec::new();
        for keyword in REFERENCES {
            if let Some(Value::String(reference)) = schema.remove(keyword) {
                parts.push(resolve(self.root, &reference)?.clone());
            }
        }
        if let Some(Value::Array(all)) = schema.remove("allOf") {
            parts.extend(all);
        }
        for combinator in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = schema.remove(combinator) {
                if branches.is_empty() {
                    return Err(format!("`{combinator}` has no branch"));
                }
                parts.push(self.pick_shallow(&branches, depth, leads_on).clone());
            }
        }
        // Either way is as good as the other; whether it holds is seen afterwards.
        let [condition, then, otherwise] = ["if", "then", "else"].map(|keyword| schema.remove(keyword));
        if let Some(condition) = condition {
            parts.extend(
                if self.rng.random() { [Some(condition), then] } else { [otherwise, None] }.into_iter().flatten(),
            );
        }
        if parts.is_empty() {
            return Ok(schema);
        }
        for part in parts {
            match part {
                Value::Bool(true) => {}
                Value::Object(part) => schema = merge(schema, part),
                other => return Err(format!("a branch of the schema admits nothing: {}", short(&other))),
            }
        }
        self.flatten(schema, depth, steps + 1)
    }

    /// The type to draw: given, one of those given, or what the other keywords speak of.
    fn kind(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<String, String> {
        match schema.get("type") {
            Some(Value::String(kind)) => return Ok(kind.clone()),
            Some(Value::Array(kinds)) if !kinds.is_empty() => {
                let kind = self.pick_shallow(kinds, depth, |kind| kind == "array" || kind == "object");
                return kind.as_str().map(str::to_owned).ok_or_else(|| "`type` lists no strings".into());
            }
            Some(Value::Array(_)) => return Err("no type is left in `type`".into()),
            _ => {}
        }
        let has = |keywords: &[&str]| keywords.iter().any(|keyword| schema.contains_key(*keyword));
        Ok(if has(&["properties", "required", "additionalProperties", "patternProperties", "minProperties"]) {
            "object"
        } else if has(&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]) {
            "array"
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
            "number"
        } else {
            "string"
        }
        .into())
    }

    /// One of `values`; deep down mostly one that does not lead deeper, if there is one.
    fn pick_shallow<'b>(&mut self, values: &'b [Value], depth: usize, leads_deeper: fn(&Value) -> bool) -> &'b Value {
        if depth >= SHALLOW && self.rng.random_ratio(7, 8) {
            let ends: Vec<_> = values.iter().filter(|value| !leads_deeper(value)).collect();
            if !ends.is_empty() {
                return ends[self.rng.random_range(0..ends.len())];
            }
        }
        self.pick(values)
    }

    fn pick<'b>(&mut self, values: &'b [Value]) -> &'b Value {
        &values[self.rng.random_range(0..values.len())]
    }
}

/// Whether a schema refers to another, which alone can lead back to where it stands.
fn leads_on(schema: &Value) -> bool {
    match schema {
        Value::Object(schema) => {
            REFERENCES.iter().any(|keyword| schema.contains_key(*keyword)) || schema.values().any(leads_on)
        }
        Value::Array(parts) => parts.iter().any(leads_on),
        _ => false,
    }
}
