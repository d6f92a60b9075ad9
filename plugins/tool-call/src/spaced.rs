//! JSON with a space behind commas and colons, as Python writes it.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Serializer, Value};

pub(crate) fn json(value: &Value) -> String {
    let mut json = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut json, Spaced));
    written.expect("a vector takes everything");
    String::from_utf8(json).expect("JSON of strings is text")
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn spaces_stand_where_python_puts_them() {
        assert_eq!(
            super::json(&json!({ "a": [1, 2], "b": {}, "c": "x,y:z" })),
            r#"{"a": [1, 2], "b": {}, "c": "x,y:z"}"#
        );
    }
}
