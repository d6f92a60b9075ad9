//! pydantic's words for what is wrong.

use super::Form;
use crate::wire::fields::Not;
use crate::wire::invalid::Wrong;

pub(super) fn too_small(least: &str) -> Wrong {
    let message = format!("Input should be greater than or equal to {least}");
    Wrong::with("greater_than_equal", message, format!("'ge': {least}"))
}

pub(super) fn too_large(most: &str) -> Wrong {
    let message = format!("Input should be less than or equal to {most}");
    Wrong::with("less_than_equal", message, format!("'le': {most}"))
}

pub(super) fn not_an_integer(not: Not) -> Wrong {
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

pub(super) fn not_an_object(form: Form, name: &str) -> Wrong {
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
pub(super) fn expected(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    match &quoted[..] {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}
