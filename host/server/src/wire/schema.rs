//! What the fields of a body may be: tables in the order of vLLM's own models, checked as pydantic checks them, so that
//! what is wrong is told in its order and its words. `/openapi.json` shows the same tables.

mod check;
mod loc;
mod wording;

use serde_json::Value;

use crate::config::RequestLimits;

pub use check::{check, check_forms, check_value};

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
