//! Values as Python prints them: vLLM's messages repeat them.

use serde_json::{Number, Value};

use super::large_number::large_number;
use super::token_ids;

/// `str(value)` of a number, `None` or a switch; a string as it is. Lists and objects are only named.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => self::number(number),
        Value::String(text) => match large_number(value) {
            Some(number) if number.ends_with(|c: char| c.is_ascii_digit()) => number.to_owned(),
            Some(number) => float(number.parse().unwrap_or(f64::NAN)),
            None => match token_ids::first_and_count(value) {
                Some((_, n_items)) => format!("<list of {n_items} items>"),
                None => text.clone(),
            },
        },
        Value::Array(list) => format!("<list of {} items>", list.len()),
        Value::Object(object) => format!("<dict of {} items>", object.len()),
    }
}

/// `type(value).__name__`
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float(value),
        _ => number.to_string(),
    }
}

/// `repr` of a float: the shortest digits that mean it, with an exponent where that is below -4 or above 15.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// `repr` of a string: in single quotes, unless it has some and no double ones.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == quote => quoted.extend(['\\', c]),
            c if is_printable(c) => quoted.push(c),
            c if (c as u32) < 0x100 => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x10000 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    quoted.push(quote);
    quoted
}

/// As far as messages need it: control and format characters are not, nor is any space but the usual one.
fn is_printable(c: char) -> bool {
    let is_format = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..);
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_printed_as_python_prints_them() {
        let printed = [0.1, 1.0, -0.0, 1e15, 1e16, 1e22, 1e-4, 1e-7, 1.5e-10, f64::NAN].map(float);
        let expected =
            ["0.1", "1.0", "-0.0", "1000000000000000.0", "1e+16", "1e+22", "0.0001", "1e-07", "1.5e-10", "nan"];
        assert_eq!(printed, expected);
    }

    #[test]
    fn strings_are_quoted_as_python_quotes_them() {
        assert_eq!(quoted("a'b"), "\"a'b\"");
        assert_eq!(quoted("a'b\"c\n\u{1}\u{200b}é"), "'a\\'b\"c\\n\\x01\\u200bé'");
    }
}
