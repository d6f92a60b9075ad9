//! How large a schema is once its references are followed: what could not be followed is refused before that.

use std::collections::HashMap;

use serde_json::Value;

use crate::wire::errors::ApiError;

/// With more objects in it, references followed, a schema is refused.
const MOST_PARTS: usize = 20_000;

/// Nested deeper, references followed, it is refused too: to follow it takes a stack as deep.
const MOST_DEPTH: usize = 250;

/// Parts of a schema that count only where a reference leads to them.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// A schema with all references in it replaced by what they lead to, but for those that lead back to where they stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    parts: usize,
    /// Some reference leads back, or is looked up in a way of its own.
    pub(super) is_endless: bool,
}

/// Of a whole schema. Fails if it is too large.
pub(super) fn of(schema: &Value) -> Result<Size, ApiError> {
    Measure { root: schema, known: HashMap::new(), depth: 0 }.size(schema)
}

struct Measure<'a> {
    root: &'a Value,
    /// By reference: the size of what it leads to; `None` while that is being found out.
    known: HashMap<&'a str, Option<Size>>,
    /// Of the part that is looked at.
    depth: usize,
}

impl<'a> Measure<'a> {
    fn size(&mut self, schema: &'a Value) -> Result<Size, ApiError> {
        if self.depth > MOST_DEPTH {
            let message =
                format!("the JSON schema is too deep: its references lead more than {MOST_DEPTH} levels down");
            return Err(ApiError::invalid(message));
        }
        self.depth += 1;
        let size = self.parts(schema);
        self.depth -= 1;
        size
    }

    fn parts(&mut self, schema: &'a Value) -> Result<Size, ApiError> {
        let mut size = Size::default();
        match schema {
            Value::Array(list) => {
                for part in list {
                    size.add(self.size(part)?);
                }
            }
            Value::Object(object) => {
                size.parts = 1;
                for (name, part) in object {
                    match (name.as_str(), part) {
                        (name, _) if DEFINITIONS.contains(&name) => {}
                        // Whatever they are called.
                        ("properties" | "patternProperties", Value::Object(named)) => {
                            for part in named.values() {
                                size.add(self.size(part)?);
                            }
                        }
                        ("$ref", Value::String(reference)) => size.add(self.referenced(reference)?),
                        ("$dynamicRef" | "$recursiveRef", _) => size.is_endless = true,
                        _ => size.add(self.size(part)?),
                    }
                }
            }
            _ => {}
        }
        if size.parts > MOST_PARTS {
            let message = format!("the JSON schema is too large: its references lead to more than {MOST_PARTS} parts");
            return Err(ApiError::invalid(message));
        }
        Ok(size)
    }

    fn referenced(&mut self, reference: &'a str) -> Result<Size, ApiError> {
        let endless = Size { parts: 0, is_endless: true };
        if let Some(known) = self.known.get(reference) {
            return Ok(known.unwrap_or(endless));
        }
        self.known.insert(reference, None);
        // What is no pointer is looked up by the validator in its own way.
        let root = self.root;
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let size = target.map_or(Ok(endless), |target| self.size(target))?;
        self.known.insert(reference, Some(size));
        Ok(size)
    }
}

impl Size {
    fn add(&mut self, part: Self) {
        self.parts += part.parts;
        self.is_endless |= part.is_endless;
    }
}
