//! Draws a value keyword by keyword.

use rand::{Rng, RngExt};
use serde_json::{Map, Value, json};

use super::validate::is_admitted;
use super::{Bounds, merge::merge, resolve, short, text};

/// Past this depth objects and arrays are as small as they may be; recursive schemas end.
const SHALLOW: usize = 4;

/// Past this depth a schema cannot be ended.
const TOO_DEEP: usize = 100;

/// References and combinators that lead to one another.
const TOO_MANY_STEPS: usize = 64;

/// Attempts at each part of a value, so that the parts' chances do not multiply.
const PART_TRIES: usize = 16;

/// Attempts at all parts together: a schema that nothing satisfies must be given up in time.
const ALL_TRIES: usize = 5_000;

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
    tries_left: usize,
    /// What failed first: the most telling, once all tries are spent.
    first_reason: Option<String>,
}

impl<'a, R: Rng> Draw<'a, R> {
    pub(super) fn new(root: &'a Value, bounds: &'a Bounds, rng: &'a mut R) -> Self {
        Self { root, bounds, rng, tries_left: ALL_TRIES, first_reason: None }
    }

    /// Whether no more attempts will be made.
    pub(super) fn is_exhausted(&self) -> bool {
        self.tries_left == 0
    }

    /// A value that `schema` admits, `depth` objects and arrays below the root.
    pub(super) fn value(&mut self, schema: &Value, depth: usize) -> Result<Value, String> {
        let mut reason = String::new();
        for _ in 0..PART_TRIES {
            let Some(left) = self.tries_left.checked_sub(1) else { break };
            self.tries_left = left;
            match self.attempt(schema, depth) {
                Ok(value) if is_admitted(self.root, schema, &value) => return Ok(value),
                Ok(_) => {}
                Err(unsatisfiable) => {
                    self.first_reason.get_or_insert_with(|| unsatisfiable.clone());
                    reason = unsatisfiable;
                }
            }
        }
        if self.is_exhausted()
            && let Some(first) = &self.first_reason
        {
            return Err(first.clone());
        }
        if reason.is_empty() { Err(format!("no value was found for {}", short(schema))) } else { Err(reason) }
    }

    fn attempt(&mut self, schema: &Value, depth: usize) -> Result<Value, String> {
        if depth > TOO_DEEP {
            return Err(format!("the schema has no end: {}", short(schema)));
        }
        let schema = match schema {
            Value::Bool(false) => return Err("a part of the schema is `false`, which admits nothing".into()),
            Value::Bool(true) => return Ok(Value::String(text::word(self.rng))),
            Value::Object(schema) => self.flatten(schema.clone(), 0)?,
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
        match self.kind(&schema)?.as_str() {
            "null" => Ok(Value::Null),
            "boolean" => Ok(Value::Bool(self.rng.random())),
            "integer" => self.integer(&schema),
            "number" => self.number(&schema),
            "string" => text::string(&schema, self.rng).map(Value::String),
            "array" => self.array(&schema, depth),
            "object" => self.object(&schema, depth),
            other => Err(format!("{other:?} is not a type of JSON Schema")),
        }
    }

    /// Follows `$ref` and merges one branch of each combinator into the schema around it.
    fn flatten(&mut self, mut schema: Map<String, Value>, steps: usize) -> Result<Map<String, Value>, String> {
        if steps > TOO_MANY_STEPS {
            return Err("a `$ref` leads to itself".into());
        }
        let mut parts = Vec::new();
        if let Some(Value::String(reference)) = schema.remove("$ref") {
            parts.push(resolve(self.root, &reference)?.clone());
        }
        if let Some(Value::Array(all)) = schema.remove("allOf") {
            parts.extend(all);
        }
        for combinator in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = schema.remove(combinator) {
                if branches.is_empty() {
                    return Err(format!("`{combinator}` has no branch"));
                }
                parts.push(self.pick(&branches).clone());
            }
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
        self.flatten(schema, steps + 1)
    }

    /// The type to draw: given, one of those given, or what the other keywords speak of.
    fn kind(&mut self, schema: &Map<String, Value>) -> Result<String, String> {
        match schema.get("type") {
            Some(Value::String(kind)) => return Ok(kind.clone()),
            Some(Value::Array(kinds)) if !kinds.is_empty() => {
                return self.pick(kinds).as_str().map(str::to_owned).ok_or_else(|| "`type` lists no strings".into());
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

    fn integer(&mut self, schema: &Map<String, Value>) -> Result<Value, String> {
        let (least, greatest) = range(schema, self.bounds.integer.0 as f64, self.bounds.integer.1 as f64);
        let least = whole_bound(schema, ["minimum", "exclusiveMinimum"], &least, 1);
        let greatest = whole_bound(schema, ["maximum", "exclusiveMaximum"], &greatest, -1);
        let step = schema.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0).unwrap_or(1.0);
        // With a fractional step, only its whole multiples count: 0.5 and 2.5 both reach every whole number they can.
        let step = if step.fract() == 0.0 { step } else { whole_multiple(step) } as i128;
        // Rounded up and down, as division by itself rounds towards zero.
        let (first, last) = (-(-least).div_euclid(step), greatest.div_euclid(step));
        if first > last {
            return Err(format!("no integer is between {least} and {greatest} in steps of {step}"));
        }
        let integer = self.rng.random_range(first..=last).saturating_mul(step);
        Ok(match (i64::try_from(integer), u64::try_from(integer)) {
            (Ok(integer), _) => json!(integer),
            (_, Ok(integer)) => json!(integer),
            _ => json!(integer as f64),
        })
    }

    fn number(&mut self, schema: &Map<String, Value>) -> Result<Value, String> {
        let (least, greatest) = range(schema, self.bounds.number.0, self.bounds.number.1);
        if least.at > greatest.at {
            return Err(format!("no number is between {} and {}", least.at, greatest.at));
        }
        if let Some(step) = schema.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0) {
            let (first, last) = ((least.at / step).ceil(), (greatest.at / step).floor());
            if first > last {
                return Err(format!("no multiple of {step} is between {} and {}", least.at, greatest.at));
            }
            return Ok(json!(self.multiple(first as i64, last as i64, step)));
        }
        if least.at == greatest.at {
            return Ok(json!(least.at));
        }
        // Weighed, because the distance of the two may be more than a number can be.
        let weight: f64 = self.rng.random();
        let drawn = least.at * (1.0 - weight) + greatest.at * weight;
        // Two decimals read better, where they stay inside.
        let rounded = (drawn * 100.0).round() / 100.0;
        Ok(json!(if rounded > least.at && rounded < greatest.at { rounded } else { drawn }))
    }

    /// One of the multiples of `step`, written with no more decimals than it has. Preferably one that gives a whole number
    /// when it is divided by `step`: some validators divide, and see that 0.14 / 0.01 is not 14.
    fn multiple(&mut self, first: i64, last: i64, step: f64) -> f64 {
        let decimals = step.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let mut multiple = 0.0;
        for _ in 0..UNIQUE_TRIES {
            let exact = self.rng.random_range(first..=last) as f64 * step;
            multiple = format!("{exact:.decimals$}").parse().unwrap_or(exact);
            if (multiple / step).fract() == 0.0 {
                break;
            }
        }
        multiple
    }

    fn array(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Value, String> {
        let size = |keyword: &str| schema.get(keyword).and_then(Value::as_f64).map(|size| size as usize);
        let prefix = schema.get("prefixItems").or_else(|| schema.get("items").filter(|items| items.is_array()));
        let prefix = prefix.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (shortest, longest) = lengths(size("minItems"), size("maxItems"), self.bounds.array_length)?;
        let length = if depth >= SHALLOW { shortest } else { self.rng.random_range(shortest..=longest) };
        let length = if schema.contains_key("maxItems") { length } else { length.max(prefix.len()) };
        let rest = if schema.contains_key("prefixItems") {
            schema.get("items")
        } else {
            schema.get("items").filter(|items| !items.is_array())
        };
        let rest = rest.or_else(|| schema.get("additionalItems")).cloned().unwrap_or_else(|| {
            // Without a say on its elements, an array of what it must contain is as good as any.
            schema.get("contains").cloned().unwrap_or(json!({ "type": "string" }))
        });
        let length = if rest == Value::Bool(false) { length.min(prefix.len()) } else { length };
        if length > MOST_ELEMENTS {
            return Err(format!("an array of {length} elements is more than the {MOST_ELEMENTS} that are made up"));
        }
        let is_unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut elements: Vec<Value> = Vec::with_capacity(length);
        for index in 0..length {
            let element_schema = prefix.get(index).unwrap_or(&rest);
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
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
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
            let is_wanted = depth < SHALLOW && self.rng.random_range(0..100) < u32::from(chance);
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
            .or_else(|| schema.get("additionalProperties").cloned())
            .unwrap_or(json!({ "type": "string" }))
    }

    fn pick<'b>(&mut self, values: &'b [Value]) -> &'b Value {
        &values[self.rng.random_range(0..values.len())]
    }
}

/// The shortest and longest length: the schema's, and `usual` where it says nothing.
pub(super) fn lengths(
    shortest: Option<usize>,
    longest: Option<usize>,
    usual: (usize, usize),
) -> Result<(usize, usize), String> {
    match (shortest, longest) {
        (Some(shortest), Some(longest)) if shortest > longest => {
            Err(format!("at least {shortest} and at most {longest} contradict each other"))
        }
        // More than anybody wants to read, where only the schema's lower bound speaks for it.
        (Some(shortest), Some(longest)) => Ok((shortest, longest.min(shortest.max(usual.1)))),
        (Some(shortest), None) => Ok((shortest, shortest.max(usual.1))),
        (None, Some(longest)) => Ok((usual.0.min(longest), longest.min(usual.1))),
        (None, None) => Ok((usual.0, usual.1.max(usual.0))),
    }
}

struct Edge {
    at: f64,
    excluded: bool,
}

/// The schema's bounds; a side that it leaves open is the usual one, moved where the schema's own side lies beyond it.
fn range(schema: &Map<String, Value>, usual_least: f64, usual_greatest: f64) -> (Edge, Edge) {
    let width = usual_greatest - usual_least;
    let edge = |inclusive: &str, exclusive: &str, tighter: fn(f64, f64) -> bool| {
        let bound = schema.get(inclusive).and_then(Value::as_f64);
        match schema.get(exclusive) {
            // Draft 4 writes it as a switch beside the bound.
            Some(Value::Bool(excluded)) => bound.map(|at| Edge { at, excluded: *excluded }),
            Some(exclusive) => match (bound, exclusive.as_f64()) {
                (Some(at), Some(open)) if tighter(at, open) => Some(Edge { at, excluded: false }),
                (_, Some(at)) => Some(Edge { at, excluded: true }),
                (at, None) => at.map(|at| Edge { at, excluded: false }),
            },
            None => bound.map(|at| Edge { at, excluded: false }),
        }
    };
    let least = edge("minimum", "exclusiveMinimum", |bound, open| bound > open);
    let greatest = edge("maximum", "exclusiveMaximum", |bound, open| bound < open);
    let open = |at| Edge { at, excluded: false };
    match (least, greatest) {
        (Some(least), Some(greatest)) => (least, greatest),
        (Some(least), None) => {
            let at = if least.at < usual_greatest { usual_greatest } else { least.at + width.max(1.0) };
            (least, open(at))
        }
        (None, Some(greatest)) => {
            let at = if greatest.at > usual_least { usual_least } else { greatest.at - width.max(1.0) };
            (open(at), greatest)
        }
        (None, None) => (open(usual_least), open(usual_greatest)),
    }
}

/// The outermost whole number within a bound, exactly: numbers past 2^53 lose their last digits as floating point. `inwards`
/// is 1 for a lower bound and -1 for an upper one.
fn whole_bound(schema: &Map<String, Value>, keywords: [&str; 2], edge: &Edge, inwards: i128) -> i128 {
    let whole = |keyword: &&str| {
        let number = schema.get(*keyword)?;
        number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
    };
    let exact = keywords.iter().filter_map(whole).find(|whole| *whole as f64 == edge.at);
    let rounded = if inwards > 0 { edge.at.ceil() } else { edge.at.floor() };
    // An exclusive bound keeps an integer itself out, and nothing more.
    let excludes_itself = edge.excluded && edge.at.fract() == 0.0;
    exact.unwrap_or(rounded as i128).saturating_add(if excludes_itself { inwards } else { 0 })
}

/// The least whole number that `step` divides, of those that are worth looking for.
fn whole_multiple(step: f64) -> f64 {
    (1..=1000).map(|factor| step * f64::from(factor)).find(|multiple| multiple.fract() == 0.0).unwrap_or(1.0)
}
