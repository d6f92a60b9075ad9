//! What the fields of a body may be: tables in the order of vLLM's own models, checked as pydantic checks them, so that
//! what is wrong is told in its order and its words. `/openapi.json` shows the same tables.

use serde_json::{Map, Value};

use super::fields::{self, Not};
use super::invalid::{Invalid, Wrong};
use super::large_number::large_number;
use super::python;
use crate::config::RequestLimits;

/// One field of an object.
pub struct Field {
    /// On the wire.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// It must be there.
    pub is_required: bool,
    /// An explicit null is as good as absent.
    pub takes_null: bool,
}

/// What a value may be.
pub enum Kind {
    /// Anything.
    Any,
    /// Text of so many characters.
    Text(u32, u32),
    /// A whole number from and to.
    Integer(i128, i128),
    /// A number.
    Number,
    /// A number from and to.
    NumberIn(f64, f64),
    /// True or false.
    Switch,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A list of this kind that has any items.
    NotEmpty(&'static Kind),
    /// A list, of at most so many items.
    List(&'static Kind, Option<fn(&RequestLimits) -> usize>),
    /// Bytes, as text.
    Bytes,
    /// A list or an object whose items are looked at later.
    Iterable,
    /// An object whose values are all of a kind.
    Map(&'static Kind),
    /// An object with these fields, and the name by which errors know it.
    Object(Form, &'static str, &'static [Field]),
    /// What fits the first and breaks no rule, which says in words what is wrong.
    Rule(&'static Kind, fn(&Value) -> Option<&'static str>),
    /// An object whose `type` says which of these it is.
    Tagged(&'static [(&'static str, Kind)]),
    /// The first of these that fits; if none does, what each finds wrong.
    OneOf(&'static [Kind]),
}

/// What an object is to pydantic: it decides how errors speak of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A model.
    Model,
    /// A model that errors name, too.
    NamedModel,
    /// A typed dictionary: in a union, errors name it.
    TypedDict,
    /// A data class.
    Dataclass,
    /// A class that is made of an object, or is there already: errors begin with that.
    Instance,
}

/// Any text.
pub const TEXT: Kind = Kind::Text(0, u32::MAX);
/// Any whole number.
pub const INTEGER: Kind = Kind::Integer(i128::MIN, i128::MAX);
/// One of 64 bits.
pub const INTEGER_64: Kind = Kind::Integer(i64::MIN as i128, i64::MAX as i128);
/// A list of texts.
pub const TEXTS: Kind = Kind::List(&TEXT, None);
/// A list of whole numbers.
pub const INTEGERS: Kind = Kind::List(&INTEGER, None);
/// Any object.
pub const OBJECT: Kind = Kind::Map(&Kind::Any);

/// A field that may be left out but not be null.
pub const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_required: false, takes_null: false }
}

/// A field that may be left out or be null.
pub const fn nullable(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_required: false, takes_null: true }
}

/// A field that must be there.
pub const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_required: true, takes_null: false }
}

/// Everything that is wrong with a body.
pub fn check(body: &Map<String, Value>, fields: &[Field], limits: &RequestLimits) -> Invalid {
    let mut checked = Check { limits, invalid: Invalid::default() };
    checked.fields(body, fields, "body");
    checked.invalid
}

/// Nothing, if the body has one of these forms; else what each form finds wrong. A form is several tables, one after the
/// other.
pub fn check_forms(body: &Map<String, Value>, forms: &[&[&[Field]]], limits: &RequestLimits) -> Invalid {
    let mut invalid = Invalid::default();
    for form in forms {
        let mut checked = Check { limits, invalid: Invalid::default() };
        form.iter().for_each(|fields| checked.fields(body, fields, "body"));
        if checked.invalid.is_empty() {
            return checked.invalid;
        }
        invalid.append(checked.invalid);
    }
    invalid
}

/// Everything that is wrong with one value, which stands at `loc`.
pub fn check_value(value: &Value, kind: &Kind, loc: &str, limits: &RequestLimits) -> Invalid {
    let mut checked = Check { limits, invalid: Invalid::default() };
    checked.value(value, kind, loc);
    checked.invalid
}

/// A place within another. vLLM leaves out what looks like a type of pydantic's, a client's own keys included.
pub fn within(loc: &str, segment: &str) -> String {
    let is_type = matches!(
        segment.to_ascii_lowercase().as_str(),
        "str"
            | "int"
            | "float"
            | "bool"
            | "bytes"
            | "list"
            | "tuple"
            | "dict"
            | "set"
            | "frozenset"
            | "complex"
            | "none"
            | "nonetype"
            | "nullable"
            | "union"
            | "default"
            | "chain"
            | "call"
            | "arguments"
            | "callable"
            | "bytearray"
    );
    if is_type || segment.contains(['(', ')', '[', ']', '{', '}']) {
        return loc.to_owned();
    }
    format!("{loc}.{segment}")
}

struct Check<'a> {
    limits: &'a RequestLimits,
    invalid: Invalid,
}

impl Check<'_> {
    fn fields(&mut self, object: &Map<String, Value>, fields: &[Field], loc: &str) {
        for field in fields {
            match object.get(field.name) {
                None if field.is_required => {
                    let whole = Value::Object(object.clone());
                    self.invalid.add(&within(loc, field.name), Wrong::missing(), &whole);
                }
                None => {}
                Some(Value::Null) if field.takes_null => {}
                Some(value) => self.value(value, &field.kind, &within(loc, field.name)),
            }
        }
    }

    fn value(&mut self, value: &Value, kind: &Kind, loc: &str) {
        let mut wrong = |wrong: Wrong| self.invalid.add(loc, wrong, value);
        match kind {
            Kind::Any => {}
            Kind::Text(least, most) => match text(value) {
                None => wrong(Wrong::new("string_type", "Input should be a valid string")),
                Some(text) => {
                    let n_chars = text.chars().count();
                    let characters = |n: u32| if n == 1 { "1 character".into() } else { format!("{n} characters") };
                    if n_chars < *least as usize {
                        let message = format!("String should have at least {}", characters(*least));
                        wrong(Wrong::with("string_too_short", message, format!("'min_length': {least}")));
                    } else if n_chars > *most as usize {
                        let message = format!("String should have at most {}", characters(*most));
                        wrong(Wrong::with("string_too_long", message, format!("'max_length': {most}")));
                    }
                }
            },
            Kind::Integer(least, most) => match fields::integer(value) {
                Err(not) => wrong(not_an_integer(not)),
                Ok(integer) if integer < *least => {
                    let message = format!("Input should be greater than or equal to {least}");
                    wrong(Wrong::with("greater_than_equal", message, format!("'ge': {least}")));
                }
                Ok(integer) if integer > *most => {
                    let message = format!("Input should be less than or equal to {most}");
                    wrong(Wrong::with("less_than_equal", message, format!("'le': {most}")));
                }
                Ok(_) => {}
            },
            Kind::Number => match fields::number(value) {
                Ok(_) => {}
                Err(Not::Parsed) => wrong(Wrong::new(
                    "float_parsing",
                    "Input should be a valid number, unable to parse string as a number",
                )),
                Err(_) => wrong(Wrong::new("float_type", "Input should be a valid number")),
            },
            Kind::NumberIn(least, most) => match fields::number(value) {
                Err(_) => self.value(value, &Kind::Number, loc),
                Ok(number) if number < *least => {
                    let message = format!("Input should be greater than or equal to {least}");
                    wrong(Wrong::with("greater_than_equal", message, format!("'ge': {}", python::float(*least))));
                }
                Ok(number) if number > *most => {
                    let message = format!("Input should be less than or equal to {most}");
                    wrong(Wrong::with("less_than_equal", message, format!("'le': {}", python::float(*most))));
                }
                Ok(_) => {}
            },
            Kind::Switch => match fields::switch(value) {
                Ok(_) => {}
                Err(Not::Parsed) => {
                    wrong(Wrong::new("bool_parsing", "Input should be a valid boolean, unable to interpret input"));
                }
                Err(_) => wrong(Wrong::new("bool_type", "Input should be a valid boolean")),
            },
            Kind::Words(words) => {
                if !text(value).is_some_and(|word| words.contains(&word)) {
                    let expected = expected(words);
                    let context = format!("'expected': {}", python::quoted(&expected));
                    wrong(Wrong::with("literal_error", format!("Input should be {expected}"), context));
                }
            }
            Kind::List(items, most) => {
                let Some(list) = value.as_array() else {
                    return wrong(Wrong::new("list_type", "Input should be a valid list"));
                };
                let most = most.map_or(usize::MAX, |most| most(self.limits));
                if list.len() > most {
                    let (n_items, plural) = (list.len(), if most == 1 { "" } else { "s" });
                    let message =
                        format!("List should have at most {most} item{plural} after validation, not {n_items}");
                    let context = format!("'field_type': 'List', 'max_length': {most}, 'actual_length': {n_items}");
                    return wrong(Wrong::with("too_long", message, context));
                }
                for (index, item) in list.iter().enumerate() {
                    self.value(item, items, &format!("{loc}.{index}"));
                }
            }
            Kind::NotEmpty(kind) => {
                self.value(value, kind, loc);
                if value.as_array().is_some_and(Vec::is_empty) {
                    let message = "List should have at least 1 item after validation, not 0";
                    let context = "'field_type': 'List', 'min_length': 1, 'actual_length': 0";
                    self.invalid.add(loc, Wrong::with("too_short", message, context), value);
                }
            }
            Kind::Bytes => {
                if text(value).is_none() {
                    wrong(Wrong::new("bytes_type", "Input should be a valid bytes"));
                }
            }
            Kind::Iterable => {
                if !value.is_array() && !value.is_object() && !value.is_string() {
                    wrong(Wrong::new("iterable_type", "Input should be iterable"));
                }
            }
            Kind::Map(values) => match value.as_object() {
                None => wrong(Wrong::new("dict_type", "Input should be a valid dictionary")),
                Some(object) => {
                    for (name, value) in object {
                        self.value(value, values, &within(loc, name));
                    }
                }
            },
            Kind::Object(Form::Instance, name, fields) => self.instance(value, name, fields, loc),
            Kind::Object(form, name, fields) => match value.as_object() {
                Some(object) => self.fields(object, fields, loc),
                None => wrong(not_an_object(*form, name)),
            },
            Kind::Rule(kind, rule) => {
                let n_errors = self.invalid.len();
                self.value(value, kind, loc);
                if self.invalid.len() == n_errors
                    && let Some(message) = rule(value)
                {
                    self.invalid.add(loc, Wrong::value(message), value);
                }
            }
            Kind::Tagged(kinds) => self.tagged(value, kinds, loc),
            Kind::OneOf(kinds) => self.one_of(value, kinds, loc),
        }
    }

    fn instance(&mut self, value: &Value, name: &str, fields: &[Field], loc: &str) {
        let mut inner = Check { limits: self.limits, invalid: Invalid::default() };
        match value.as_object() {
            Some(object) => inner.fields(object, fields, loc),
            None => inner.invalid.add(loc, not_an_object(Form::TypedDict, name), value),
        }
        if !inner.invalid.is_empty() {
            let (message, context) = (format!("Input should be an instance of {name}"), format!("'class': '{name}'"));
            self.invalid.add(loc, Wrong::with("is_instance_of", message, context), value);
            self.invalid.append(inner.invalid);
        }
    }

    fn tagged(&mut self, value: &Value, kinds: &[(&'static str, Kind)], loc: &str) {
        let mut wrong = |wrong: Wrong| self.invalid.add(loc, wrong, value);
        let Some(object) = value.as_object() else { return wrong(not_an_object(Form::Model, "")) };
        let context = "'discriminator': \"'type'\"";
        let Some(tag) = object.get("type") else {
            let message = "Unable to extract tag using discriminator 'type'";
            return wrong(Wrong::with("union_tag_not_found", message, context));
        };
        match kinds.iter().find(|(name, _)| tag == name) {
            Some((name, kind)) => self.value(value, kind, &within(loc, name)),
            None => {
                let tags: Vec<_> = kinds.iter().map(|(name, _)| format!("'{name}'")).collect();
                let (tag, tags) = (python::text(tag), tags.join(", "));
                let message =
                    format!("Input tag '{tag}' found using 'type' does not match any of the expected tags: {tags}");
                let (tag, tags) = (python::quoted(&tag), python::quoted(&tags));
                let context = format!("{context}, 'tag': {tag}, 'expected_tags': {tags}");
                wrong(Wrong::with("union_tag_invalid", message, context));
            }
        }
    }

    fn one_of(&mut self, value: &Value, kinds: &[Kind], loc: &str) {
        let mut invalid = Invalid::default();
        for kind in kinds {
            let mut branch = Check { limits: self.limits, invalid: Invalid::default() };
            match kind {
                Kind::Object(Form::TypedDict | Form::NamedModel, name, _) => {
                    branch.value(value, kind, &format!("{loc}.{name}"))
                }
                _ => branch.value(value, kind, loc),
            }
            if branch.invalid.is_empty() {
                return;
            }
            invalid.append(branch.invalid);
        }
        self.invalid.append(invalid);
    }
}

/// A text that stands for nothing else.
fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|_| large_number(value).is_none())
}

fn not_an_integer(not: Not) -> Wrong {
    match not {
        Not::Type => Wrong::new("int_type", "Input should be a valid integer"),
        Not::Parsed => {
            Wrong::new("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
        }
        Not::Fraction => {
            Wrong::new("int_from_float", "Input should be a valid integer, got a number with a fractional part")
        }
        Not::Finite => Wrong::new("finite_number", "Input should be a finite number"),
        Not::Size => {
            Wrong::new("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size")
        }
    }
}

fn not_an_object(form: Form, name: &str) -> Wrong {
    match form {
        Form::TypedDict | Form::Instance => Wrong::new("dict_type", "Input should be a valid dictionary"),
        Form::Model | Form::NamedModel => {
            Wrong::new("model_attributes_type", "Input should be a valid dictionary or object to extract fields from")
        }
        Form::Dataclass => {
            let message = format!("Input should be a dictionary or an instance of {name}");
            Wrong::with("dataclass_type", message, format!("'class_name': '{name}'"))
        }
    }
}

/// `'a', 'b' or 'c'`
fn expected(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    match &quoted[..] {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}
