//! Draws a value keyword by keyword.

use rehearsal_sdk::{Rng, RngExt};
use serde_json::{Map, Value, json};

use super::lengths::lengths;
use super::merge::{both, merge};
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

/// Attempts at an element that differs from the others.
const UNIQUE_TRIES: usize = 32;

/// Names for properties that the schema demands without naming them.
const NAMES: [&str; 8] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];

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

    fn array(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Value, String> {
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

    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Value, String> {
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
