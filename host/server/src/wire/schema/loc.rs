//! Where in a body a value stands, written down only if something is wrong with it.

use std::fmt::{self, Display, Formatter};

/// A place.
#[derive(Clone, Copy)]
pub(super) enum Loc<'a> {
    /// Where a table begins.
    Root(&'a str),
    /// A field, or a name that a client chose.
    Field(&'a Loc<'a>, &'a str),
    /// An item of a list.
    Item(&'a Loc<'a>, usize),
    /// One of the forms that a value may have, by its name.
    Form(&'a Loc<'a>, &'a str),
}

impl Display for Loc<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => f.write_str(root),
            Self::Field(outer, name) if is_hidden(name) => outer.fmt(f),
            Self::Field(outer, name) | Self::Form(outer, name) => write!(f, "{outer}.{name}"),
            Self::Item(outer, index) => write!(f, "{outer}.{index}"),
        }
    }
}

/// vLLM leaves out what looks like a type of pydantic's, a client's own keys included.
fn is_hidden(name: &str) -> bool {
    let is_type = matches!(
        name.to_ascii_lowercase().as_str(),
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
    is_type || name.contains(['(', ')', '[', ']', '{', '}'])
}
