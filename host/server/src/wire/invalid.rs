//! What is wrong with a body, field by field, in pydantic's words and printed as vLLM prints it.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use super::python;

/// Errors that a message lists; the rest is counted.
const LISTED: usize = 10;

/// Characters of a wrong value that a message repeats.
const REPEATED: usize = 200;

/// Characters of one error.
const LONGEST: usize = 1000;

/// What is put in the place of the rest.
const CUT: &str = "...[truncated]";

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// pydantic's name of the error.
    pub kind: &'static str,
    /// What it says of it.
    pub message: String,
    /// The values that the message speaks of, as Python prints a dict; empty if there are none.
    pub context: String,
}

impl Wrong {
    /// An error that repeats no value.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: String::new() }
    }

    /// One that does.
    pub fn with(kind: &'static str, message: impl Into<String>, context: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: context.into() }
    }

    /// A value breaks a rule of vLLM's own.
    pub fn value(message: &str) -> Self {
        let context = format!("'error': ValueError({})", python::quoted(message));
        Self::with("value_error", format!("Value error, {message}"), context)
    }

    /// A field that must be there is not.
    pub fn missing() -> Self {
        Self::new("missing", "Field required")
    }
}

/// Everything that is wrong; at least one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalid {
    errors: Vec<(String, Wrong, String)>,
    /// Where the first one is, for `param`.
    pub first: String,
}

impl std::error::Error for Invalid {}

impl Invalid {
    /// The value at `loc` is wrong.
    pub fn add(&mut self, loc: &str, wrong: Wrong, input: &Value) {
        let text = python::text(input);
        let input = match text.char_indices().nth(REPEATED) {
            Some((end, _)) => format!("{}{CUT}", &text[..end]),
            None => text,
        };
        if self.errors.is_empty() {
            self.first = loc.to_owned();
        }
        self.errors.push((loc.to_owned(), wrong, input));
    }

    /// Whether nothing is wrong after all.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many things are wrong.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// What another list has, too.
    pub fn append(&mut self, mut other: Self) {
        if self.errors.is_empty() {
            self.first = other.first;
        }
        self.errors.append(&mut other.errors);
    }

    /// `Ok` if nothing is wrong.
    pub fn or_ok(self) -> Result<(), Self> {
        if self.errors.is_empty() { Ok(()) } else { Err(self) }
    }

    /// One error.
    pub fn one(loc: &str, wrong: Wrong, input: &Value) -> Self {
        let mut invalid = Self::default();
        invalid.add(loc, wrong, input);
        invalid
    }

    /// The body is not JSON: at this character, for this reason.
    pub fn not_json(at: usize, reason: &str) -> Self {
        let context = format!("'error': {}", python::quoted(reason));
        let wrong = Wrong::with("json_invalid", "JSON decode error", context);
        Self::one(&format!("body.{at}"), wrong, &Value::Object(Default::default()))
    }

    /// There is no body.
    pub fn no_body() -> Self {
        Self::one("body", Wrong::missing(), &Value::Null)
    }

    /// The body is JSON, but no object, as each of `n_branches` forms of a request finds.
    pub fn not_an_object(body: &Value, n_branches: usize) -> Self {
        let mut invalid = Self::default();
        for _ in 0..n_branches {
            let message = "Input should be a valid dictionary or object to extract fields from";
            invalid.add("body", Wrong::new("model_attributes_type", message), body);
        }
        invalid
    }
}

impl Display for Invalid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let n_errors = self.errors.len();
        let plural = if n_errors == 1 { "" } else { "s" };
        write!(f, "{n_errors} validation error{plural}:")?;
        for (loc, wrong, input) in self.errors.iter().take(LISTED) {
            let Wrong { kind, message, context } = wrong;
            let (loc, message, input) = (python::quoted(loc), python::quoted(message), python::quoted(input));
            let context = if context.is_empty() { String::new() } else { format!(", 'ctx': {{{context}}}") };
            let line = format!("{{'type': '{kind}', 'loc': {loc}, 'msg': {message}, 'input': {input}{context}}}");
            match line.char_indices().nth(LONGEST) {
                Some((end, _)) => write!(f, "\n  {}{CUT}", &line[..end])?,
                None => write!(f, "\n  {line}")?,
            }
        }
        match n_errors.saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "\n  ...and {more} more error{plural}"),
        }
    }
}
