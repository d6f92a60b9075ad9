//! Values of a body's fields, in any of the forms that pydantic's lax mode takes for them: `"5"` is a number, 1.0 an
//! integer, `"true"` a switch. What is none of them was refused before by the endpoint's schema.

use serde_json::{Map, Value};

use super::large_number::large_number;
use super::token_ids;

/// An object of more fields is looked into by their hashes.
const FEW: usize = 8;

/// Reads the fields of an object. An explicit null counts as absent.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The value of a field as it came, null included.
    pub fn given(self, name: &str) -> Option<&'a Value> {
        // Most bodies have few fields and are asked for many: comparing lengths costs less than hashing a name.
        if self.0.len() <= FEW {
            return self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value);
        }
        self.0.get(name)
    }

    /// The value of a field as it came.
    pub fn raw(self, name: &str) -> Option<&'a Value> {
        self.given(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.raw(name)?.as_str()
    }

    /// The same, to be kept.
    pub fn string(self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// An integer; one that does not fit is the nearest that does.
    pub fn integer(self, name: &str) -> Option<i64> {
        integer(self.raw(name)?).ok().map(saturated)
    }

    /// A number.
    pub fn number(self, name: &str) -> Option<f64> {
        number(self.raw(name)?).ok()
    }

    /// A switch; absent is false.
    pub fn switch(self, name: &str) -> bool {
        self.switch_or(name, false)
    }

    /// A switch with another default.
    pub fn switch_or(self, name: &str, default: bool) -> bool {
        self.raw(name).and_then(|value| switch(value).ok()).unwrap_or(default)
    }

    /// A list; absent is empty.
    pub fn list(self, name: &str) -> &'a [Value] {
        self.raw(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A list of texts, or one text alone.
    pub fn texts(self, name: &str) -> Vec<String> {
        match self.raw(name) {
            Some(Value::String(text)) => vec![text.clone()],
            _ => self.list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    /// A list of integers.
    pub fn integers(self, name: &str) -> Vec<i64> {
        if let Some(ids) = self.raw(name).and_then(token_ids::ids) {
            return ids.into_iter().map(i64::from).collect();
        }
        self.list(name).iter().filter_map(|value| integer(value).ok()).map(saturated).collect()
    }

    /// An object.
    pub fn object(self, name: &str) -> Option<&'a Map<String, Value>> {
        self.raw(name)?.as_object()
    }

    /// The fields of an object.
    pub fn within(self, name: &str) -> Option<Self> {
        self.object(name).map(Fields)
    }
}

fn saturated(integer: i128) -> i64 {
    integer.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Why a value is no integer, number or switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Not {
    /// It is of another type.
    Type,
    /// It is a string, or a number, that does not stand for one.
    Parsed,
    /// An integer has no fraction.
    Fraction,
    /// An integer is finite.
    Finite,
    /// A number without a fraction may be too large for an integer.
    Size,
}

/// A float of this size, or larger, is no integer.
const LARGEST: f64 = 9_223_372_036_854_775_808.0;

/// The integer that a value stands for.
pub fn integer(value: &Value) -> Result<i128, Not> {
    let float = |float: f64| match float {
        float if !float.is_finite() => Err(Not::Finite),
        float if float.fract() != 0.0 => Err(Not::Fraction),
        float if float.abs() >= LARGEST => Err(Not::Size),
        float => Ok(float as i128),
    };
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Ok(integer.into()),
            (None, Some(integer)) => Ok(integer.into()),
            (None, None) => float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Bool(switch) => Ok((*switch).into()),
        Value::String(text) => match large_number(value) {
            Some(number) if number.ends_with(|c: char| c.is_ascii_digit()) => {
                integer_of_text(number).ok_or(Not::Parsed)
            }
            Some(number) => float(number.parse().unwrap_or(f64::NAN)),
            None if token_ids::first_and_count(value).is_some() => Err(Not::Type),
            None => integer_of_text(text).ok_or(Not::Parsed),
        },
        _ => Err(Not::Type),
    }
}

/// Underscores between digits, a sign and a fraction of nothing but zeros are fine.
fn integer_of_text(text: &str) -> Option<i128> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number =
        digits.split('_').all(is_digits) && is_digits(fraction) && fraction.bytes().all(|byte| byte == b'0');
    if !is_number {
        return None;
    }
    let saturated = if whole.starts_with('-') { i128::MIN } else { i128::MAX };
    Some(whole.replace('_', "").parse().unwrap_or(saturated))
}

/// The number that a value stands for.
pub fn number(value: &Value) -> Result<f64, Not> {
    match value {
        Value::Number(number) => number.as_f64().ok_or(Not::Type),
        Value::Bool(switch) => Ok(f64::from(u8::from(*switch))),
        Value::String(text) => match large_number(value) {
            Some(number) => number.parse().map_err(|_| Not::Parsed),
            None => text.trim().replace('_', "").parse().map_err(|_| Not::Parsed),
        },
        _ => Err(Not::Type),
    }
}

/// The switch that a value stands for.
pub fn switch(value: &Value) -> Result<bool, Not> {
    match value {
        Value::Bool(switch) => Ok(*switch),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Ok(false),
            Some(1.0) => Ok(true),
            Some(other) if other.fract() == 0.0 => Err(Not::Parsed),
            _ => Err(Not::Type),
        },
        Value::String(_) if large_number(value).is_some() => Err(Not::Type),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
            "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
            _ => Err(Not::Parsed),
        },
        _ => Err(Not::Type),
    }
}

/// Whether Python takes a value for true: what vLLM asks before it looks at types.
pub fn is_truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(switch)) => *switch,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_looks_like_a_value_is_one() {
        for given in [json!(5), json!("5"), json!(" +5.0 "), json!(5.0), json!("0_5")] {
            assert_eq!(integer(&given), Ok(5), "{given}");
        }
        for given in [json!(true), json!("TRUE"), json!(1), json!("on"), json!(1.0)] {
            assert_eq!(switch(&given), Ok(true), "{given}");
        }
        assert_eq!(number(&json!("0.5")), Ok(0.5));
        assert_eq!(integer(&json!(9_223_372_036_854_775_808_u64)), Ok(9_223_372_036_854_775_808));
    }

    #[test]
    fn what_does_not_is_told_apart() {
        assert_eq!([json!("a"), json!("5.5"), json!("0x5"), json!("")].map(|v| integer(&v)), [Err(Not::Parsed); 4]);
        assert_eq!(integer(&json!(1.5)), Err(Not::Fraction));
        assert_eq!([json!(2), json!("2")].map(|v| switch(&v)), [Err(Not::Parsed); 2]);
        assert_eq!([json!(1.5), json!(null), json!([])].map(|v| switch(&v)), [Err(Not::Type); 3]);
    }
}
