//! Reads the fields of a JSON body as pydantic's lax mode does (`"5"` is a number, 1.0 an integer, `"true"` a switch),
//! and collects everything that is of the wrong type, in the order in which fields are asked for.

use serde_json::{Map, Value};

/// Errors that a message lists; the rest is counted.
const LISTED: usize = 10;

/// Characters of a wrong string that a message repeats.
const REPEATED: usize = 200;

/// One field of the wrong type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    kind: &'static str,
    /// `body.messages.0.role`
    loc: String,
    message: String,
    /// As Python prints it.
    input: String,
}

/// All of them; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl std::error::Error for FieldErrors {}

impl std::fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errors = &self.0;
        write!(f, "{} validation error{}:", errors.len(), if errors.len() == 1 { "" } else { "s" })?;
        for error in errors.iter().take(LISTED) {
            let FieldError { kind, loc, message, input } = error;
            write!(f, "\n  {{'type': '{kind}', 'loc': '{loc}', 'msg': '{message}', 'input': '{input}'}}")?;
        }
        match errors.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "\n  ...and {more} more errors"),
        }
    }
}

impl FieldErrors {
    /// Where the first error is.
    pub fn first_loc(&self) -> &str {
        &self.0[0].loc
    }

    /// The body is not JSON: at this byte, for this reason.
    pub fn not_json(offset: usize, reason: &str) -> Self {
        let message = format!("the body is not valid JSON: {reason}");
        Self(vec![FieldError { kind: "json_invalid", loc: format!("body.{offset}"), message, input: "{}".into() }])
    }

    /// There is no body.
    pub fn no_body() -> Self {
        Self(vec![FieldError { kind: "missing", loc: "body".into(), message: REQUIRED.into(), input: "None".into() }])
    }

    /// The body is JSON, but no object.
    pub fn not_an_object(body: &Value) -> Self {
        let message = "the body must be a JSON object".into();
        Self(vec![FieldError { kind: "model_attributes_type", loc: "body".into(), message, input: python(body) }])
    }
}

const REQUIRED: &str = "this field is required";

/// An object whose fields are being read. An explicit null counts as absent.
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    loc: String,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// The body's own fields.
    pub fn of_body(object: &'a Map<String, Value>) -> Self {
        Self { object, loc: "body".into(), errors: Vec::new() }
    }

    /// The value of a field as it came.
    pub fn raw(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// A string; nothing else is taken for one.
    pub fn string(&mut self, name: &str) -> Option<&'a str> {
        let value = self.raw(name)?;
        let string = value.as_str();
        if string.is_none() {
            self.error(name, "string_type", "expected a string", value);
        }
        string
    }

    /// A string that must be there; empty if it is not, which is reported.
    pub fn required_string(&mut self, name: &str) -> &'a str {
        if self.raw(name).is_none() {
            self.missing(name);
        }
        self.string(name).unwrap_or_default()
    }

    /// An integer of 64 bits.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        let value = self.raw(name)?;
        match integer(value) {
            Ok(integer) => Some(integer),
            Err((kind, message)) => {
                self.error(name, kind, message, value);
                None
            }
        }
    }

    /// A number.
    pub fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.raw(name)?;
        let (number, kind) = match value {
            Value::Number(number) => (number.as_f64(), "float_type"),
            Value::Bool(switch) => (Some(f64::from(u8::from(*switch))), "float_type"),
            Value::String(text) => (text.trim().parse().ok(), "float_parsing"),
            _ => (None, "float_type"),
        };
        if number.is_none() {
            self.error(name, kind, "expected a number", value);
        }
        number
    }

    /// A switch; absent is false.
    pub fn switch(&mut self, name: &str) -> bool {
        self.switch_or(name, false)
    }

    /// A switch with another default.
    pub fn switch_or(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.raw(name) else { return default };
        let (switch, kind) = match value {
            Value::Bool(switch) => (Some(*switch), "bool_type"),
            Value::Number(number) => (zero_or_one(number.as_f64()), "bool_parsing"),
            Value::String(text) => (switch_word(text), "bool_parsing"),
            _ => (None, "bool_type"),
        };
        switch.unwrap_or_else(|| {
            self.error(name, kind, "expected true or false", value);
            default
        })
    }

    /// A list.
    pub fn list(&mut self, name: &str) -> Option<&'a [Value]> {
        let value = self.raw(name)?;
        let list = value.as_array();
        if list.is_none() {
            self.error(name, "list_type", "expected a list", value);
        }
        list.map(Vec::as_slice)
    }

    /// An object.
    pub fn object(&mut self, name: &str) -> Option<&'a Map<String, Value>> {
        let value = self.raw(name)?;
        let object = value.as_object();
        if object.is_none() {
            self.error(name, "dict_type", "expected an object", value);
        }
        object
    }

    /// One of these words.
    pub fn word(&mut self, name: &str, words: &[&str]) -> Option<&'a str> {
        let value = self.raw(name)?;
        let word = value.as_str().filter(|word| words.contains(word));
        if word.is_none() {
            self.error(name, "literal_error", &format!("expected one of {}", words.join(", ")), value);
        }
        word
    }

    /// Reports that a field must be there and is not.
    pub fn missing(&mut self, name: &str) {
        let input = format!("<dict of {} items>", self.object.len());
        self.errors.push(FieldError { kind: "missing", loc: self.at(name), message: REQUIRED.into(), input });
    }

    /// Reports a wrong value.
    pub fn error(&mut self, name: &str, kind: &'static str, message: &str, value: &Value) {
        let (loc, message) = (self.at(name), message.to_owned());
        self.errors.push(FieldError { kind, loc, message, input: python(value) });
    }

    /// Reads the fields of an object inside this one.
    pub fn within<T>(
        &mut self,
        name: &str,
        object: &'a Map<String, Value>,
        read: impl FnOnce(&mut Fields<'a>) -> T,
    ) -> T {
        let mut inner = Fields { object, loc: self.at(name), errors: Vec::new() };
        let result = read(&mut inner);
        self.errors.append(&mut inner.errors);
        result
    }

    /// All errors, if there are any.
    pub fn finish(self) -> Result<(), FieldErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(FieldErrors(self.errors)) }
    }

    fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.loc)
    }
}

/// An integer in any of the forms that count as one, or pydantic's name for what is wrong.
pub fn integer(value: &Value) -> Result<i64, (&'static str, &'static str)> {
    const TOO_LARGE: (&str, &str) = ("less_than_equal", "expected at most 9223372036854775807");
    const NOT_WHOLE: (&str, &str) = ("int_from_float", "expected an integer, this number has a fraction");
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(integer),
            (None, Some(float)) if float.fract() != 0.0 => Err(NOT_WHOLE),
            (None, Some(float)) if float >= i64::MAX as f64 => Err(TOO_LARGE),
            (None, Some(float)) => Ok(float as i64),
            (None, None) => Err(TOO_LARGE),
        },
        Value::Bool(switch) => Ok(i64::from(*switch)),
        Value::String(text) => {
            text.trim().parse().map_err(|_| ("int_parsing", "expected an integer, this string is not one"))
        }
        _ => Err(("int_type", "expected an integer")),
    }
}

fn zero_or_one(number: Option<f64>) -> Option<bool> {
    match number? {
        0.0 => Some(false),
        1.0 => Some(true),
        _ => None,
    }
}

fn switch_word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// A value as vLLM's messages repeat it.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.chars().take(REPEATED).collect(),
        Value::Array(list) => format!("<list of {} items>", list.len()),
        Value::Object(object) => format!("<dict of {} items>", object.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read<T>(body: Value, read: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, String> {
        let mut fields = Fields::of_body(body.as_object().unwrap());
        let result = read(&mut fields);
        fields.finish().map(|()| result).map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_looks_like_a_value_is_one() {
        for (given, expected) in [(json!(5), 5), (json!("5"), 5), (json!(5.0), 5), (json!(true), 1)] {
            assert_eq!(read(json!({ "n": given }), |fields| fields.integer("n")), Ok(Some(expected)));
        }
        for given in [json!(true), json!("TRUE"), json!(1), json!("on")] {
            assert_eq!(read(json!({ "s": given }), |fields| fields.switch("s")), Ok(true));
        }
        assert_eq!(read(json!({ "t": "0.5" }), |fields| fields.number("t")), Ok(Some(0.5)));
        assert_eq!(read(json!({ "n": null }), |fields| fields.integer("n")), Ok(None));
    }

    #[test]
    fn everything_wrong_is_collected_and_named() {
        let errors = read(json!({ "n": "a", "stream": "maybe", "seed": 9_223_372_036_854_775_808_u64 }), |fields| {
            (fields.integer("n"), fields.integer("seed"), fields.switch("stream"), fields.missing("messages"))
        });
        assert_eq!(
            errors.unwrap_err(),
            "4 validation errors:\
            \n  {'type': 'int_parsing', 'loc': 'body.n', 'msg': 'expected an integer, this string is not one', 'input': 'a'}\
            \n  {'type': 'less_than_equal', 'loc': 'body.seed', 'msg': 'expected at most 9223372036854775807', 'input': '9223372036854775808'}\
            \n  {'type': 'bool_parsing', 'loc': 'body.stream', 'msg': 'expected true or false', 'input': 'maybe'}\
            \n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'this field is required', 'input': '<dict of 3 items>'}"
        );
    }
}
