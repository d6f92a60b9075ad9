//! Whether a value is what a table says, and if not, everything that is wrong with it. What is right costs no allocation.

use serde_json::{Map, Value};

use super::loc::Loc;
use super::wording::{expected, not_an_integer, not_an_object, too_large, too_small};
use super::{Field, Form, Kind};
use crate::config::RequestLimits;
use crate::wire::fields::{self, Fields, Not};
use crate::wire::invalid::{Invalid, Wrong};
use crate::wire::large_number::large_number;
use crate::wire::{python, token_ids};

/// Everything that is wrong with a body.
pub fn check(body: &Map<String, Value>, fields: &[Field], limits: &RequestLimits) -> Invalid {
    check_forms(body, &[&[fields]], limits)
}

/// Nothing, if the body has one of these forms; else what each form finds wrong. A form is several tables, one after the
/// other.
pub fn check_forms(body: &Map<String, Value>, forms: &[&[&[Field]]], limits: &RequestLimits) -> Invalid {
    let root = Loc::Root("body");
    let check =
        |form: &[&[Field]], check: &mut Check<'_>| form.iter().for_each(|fields| check.fields(body, fields, root));
    if forms.iter().any(|form| Check::passes(limits, |passing| check(form, passing))) {
        return Invalid::default();
    }
    let mut telling = Check::telling(limits);
    forms.iter().for_each(|form| check(form, &mut telling));
    telling.invalid
}

/// Everything that is wrong with one value, which stands at `loc`.
pub fn check_value(value: &Value, kind: &Kind, loc: &str, limits: &RequestLimits) -> Invalid {
    let mut checked = Check::telling(limits);
    checked.value(value, kind, Loc::Root(loc));
    checked.invalid
}

/// Things that are wrong with one body; what follows is not looked at.
const MOST_WRONG: usize = 10_000;

struct Check<'a> {
    limits: &'a RequestLimits,
    /// What is wrong is told; else only that something is, and the rest is not looked at.
    tells: bool,
    n_wrong: usize,
    invalid: Invalid,
}

impl<'a> Check<'a> {
    fn telling(limits: &'a RequestLimits) -> Self {
        Self { limits, tells: true, n_wrong: 0, invalid: Invalid::default() }
    }

    /// Whether nothing is wrong.
    fn passes(limits: &'a RequestLimits, check: impl FnOnce(&mut Self)) -> bool {
        let mut passing = Self { tells: false, ..Self::telling(limits) };
        check(&mut passing);
        passing.n_wrong == 0
    }

    fn wrong(&mut self, loc: Loc<'_>, value: &Value, wrong: impl FnOnce() -> Wrong) {
        self.n_wrong += 1;
        if self.tells {
            self.invalid.add(&loc.to_string(), wrong(), value);
        }
    }

    /// Whether nothing that follows matters.
    fn is_decided(&self) -> bool {
        self.n_wrong >= if self.tells { MOST_WRONG } else { 1 }
    }

    fn fields(&mut self, object: &Map<String, Value>, fields: &[Field], loc: Loc<'_>) {
        // Most of a table's fields are absent: once all that the object has were seen, none is looked for.
        let mut unseen = object.len();
        for field in fields {
            if self.is_decided() {
                return;
            }
            let value = if unseen > 0 { Fields(object).given(field.name) } else { None };
            unseen -= usize::from(value.is_some());
            let loc = Loc::Field(&loc, field.name);
            match value {
                None if field.is_required => {
                    self.n_wrong += 1;
                    if self.tells {
                        self.invalid.add(&loc.to_string(), Wrong::missing(), &Value::Object(object.clone()));
                    }
                }
                None => {}
                Some(Value::Null) if field.takes_null => {}
                Some(value) => self.value(value, &field.kind, loc),
            }
        }
    }

    fn value(&mut self, value: &Value, kind: &Kind, loc: Loc<'_>) {
        match kind {
            Kind::Any => {}
            Kind::Text(least, most) => self.text(value, [*least, *most], loc),
            Kind::Integer(least, most) => match fields::integer(value) {
                Err(not) => self.wrong(loc, value, || not_an_integer(not)),
                Ok(integer) if integer < *least => self.wrong(loc, value, || too_small(&least.to_string())),
                Ok(integer) if integer > *most => self.wrong(loc, value, || too_large(&most.to_string())),
                Ok(_) => {}
            },
            Kind::Number => match fields::number(value) {
                Ok(_) => {}
                Err(Not::Parsed) => self.wrong(loc, value, || {
                    Wrong::new("float_parsing", "Input should be a valid number, unable to parse string as a number")
                }),
                Err(_) => self.wrong(loc, value, || Wrong::new("float_type", "Input should be a valid number")),
            },
            Kind::NumberIn(least, most) => match fields::number(value) {
                Err(_) => self.value(value, &Kind::Number, loc),
                Ok(number) if number < *least => self.wrong(loc, value, || Wrong {
                    context: format!("'ge': {}", python::float(*least)),
                    ..too_small(&least.to_string())
                }),
                Ok(number) if number > *most => self.wrong(loc, value, || Wrong {
                    context: format!("'le': {}", python::float(*most)),
                    ..too_large(&most.to_string())
                }),
                Ok(_) => {}
            },
            Kind::Switch => match fields::switch(value) {
                Ok(_) => {}
                Err(Not::Parsed) => self.wrong(loc, value, || {
                    Wrong::new("bool_parsing", "Input should be a valid boolean, unable to interpret input")
                }),
                Err(_) => self.wrong(loc, value, || Wrong::new("bool_type", "Input should be a valid boolean")),
            },
            Kind::Words(words) => {
                if !text(value).is_some_and(|word| words.contains(&word)) {
                    self.wrong(loc, value, || {
                        let expected = expected(words);
                        let context = format!("'expected': {}", python::quoted(&expected));
                        Wrong::with("literal_error", format!("Input should be {expected}"), context)
                    });
                }
            }
            Kind::List(items, most) => self.list(value, items, most.map(|most| most(self.limits)), loc),
            Kind::NotEmpty(kind) => {
                self.value(value, kind, loc);
                if value.as_array().is_some_and(Vec::is_empty) {
                    self.wrong(loc, value, || {
                        let message = "List should have at least 1 item after validation, not 0";
                        Wrong::with("too_short", message, "'field_type': 'List', 'min_length': 1, 'actual_length': 0")
                    });
                }
            }
            Kind::Bytes => {
                if text(value).is_none() {
                    self.wrong(loc, value, || Wrong::new("bytes_type", "Input should be a valid bytes"));
                }
            }
            Kind::Iterable => {
                if !value.is_array() && !value.is_object() && !value.is_string() {
                    self.wrong(loc, value, || Wrong::new("iterable_type", "Input should be iterable"));
                }
            }
            Kind::Map(values) => match value.as_object() {
                None => self.wrong(loc, value, || Wrong::new("dict_type", "Input should be a valid dictionary")),
                Some(object) => {
                    for (name, value) in object {
                        self.value(value, values, Loc::Field(&loc, name));
                    }
                }
            },
            Kind::Object(Form::Instance, name, fields) => self.instance(value, name, fields, loc),
            Kind::Object(form, name, fields) => match value.as_object() {
                Some(object) => self.fields(object, fields, loc),
                None => self.wrong(loc, value, || not_an_object(*form, name)),
            },
            Kind::Rule(kind, rule) => {
                let n_wrong = self.n_wrong;
                self.value(value, kind, loc);
                if self.n_wrong == n_wrong
                    && let Some(message) = rule(value)
                {
                    self.wrong(loc, value, || Wrong::value(message));
                }
            }
            Kind::Tagged(kinds) => self.tagged(value, kinds, loc),
            Kind::OneOf(kinds) => self.one_of(value, kinds, loc),
        }
    }

    fn text(&mut self, value: &Value, [least, most]: [u32; 2], loc: Loc<'_>) {
        let Some(text) = text(value) else {
            return self.wrong(loc, value, || Wrong::new("string_type", "Input should be a valid string"));
        };
        if least == 0 && most == u32::MAX {
            return;
        }
        let n_chars = text.chars().count();
        let characters = |n: u32| if n == 1 { "1 character".into() } else { format!("{n} characters") };
        if n_chars < least as usize {
            self.wrong(loc, value, || {
                let message = format!("String should have at least {}", characters(least));
                Wrong::with("string_too_short", message, format!("'min_length': {least}"))
            });
        } else if n_chars > most as usize {
            self.wrong(loc, value, || {
                let message = format!("String should have at most {}", characters(most));
                Wrong::with("string_too_long", message, format!("'max_length': {most}"))
            });
        }
    }

    fn list(&mut self, value: &Value, items: &Kind, most: Option<usize>, loc: Loc<'_>) {
        if let Some((first, n_items)) = token_ids::first_and_count(value) {
            // What is true of the first is true of all.
            return match most.filter(|most| n_items > *most) {
                Some(most) => self.wrong(loc, value, || too_many(most, n_items)),
                None => self.value(&first, items, Loc::Item(&loc, 0)),
            };
        }
        let Some(list) = value.as_array() else {
            return self.wrong(loc, value, || Wrong::new("list_type", "Input should be a valid list"));
        };
        if let Some(most) = most.filter(|most| list.len() > *most) {
            return self.wrong(loc, value, || too_many(most, list.len()));
        }
        for (index, item) in list.iter().enumerate() {
            if self.is_decided() {
                return;
            }
            self.value(item, items, Loc::Item(&loc, index));
        }
    }

    fn instance(&mut self, value: &Value, name: &str, fields: &[Field], loc: Loc<'_>) {
        let check = |check: &mut Self| match value.as_object() {
            Some(object) => check.fields(object, fields, loc),
            None => check.wrong(loc, value, || not_an_object(Form::TypedDict, name)),
        };
        if !Self::passes(self.limits, check) {
            self.wrong(loc, value, || {
                let message = format!("Input should be an instance of {name}");
                Wrong::with("is_instance_of", message, format!("'class': '{name}'"))
            });
            if self.tells {
                check(self);
            }
        }
    }

    fn tagged(&mut self, value: &Value, kinds: &[(&'static str, Kind)], loc: Loc<'_>) {
        const CONTEXT: &str = "'discriminator': \"'type'\"";
        let Some(object) = value.as_object() else {
            return self.wrong(loc, value, || not_an_object(Form::Model, ""));
        };
        let Some(tag) = Fields(object).given("type") else {
            return self.wrong(loc, value, || {
                let message = "Unable to extract tag using discriminator 'type'";
                Wrong::with("union_tag_not_found", message, CONTEXT)
            });
        };
        match kinds.iter().find(|(name, _)| tag == name) {
            Some((name, kind)) => self.value(value, kind, Loc::Field(&loc, name)),
            None => self.wrong(loc, value, || {
                let tags: Vec<_> = kinds.iter().map(|(name, _)| format!("'{name}'")).collect();
                let (tag, tags) = (python::text(tag), tags.join(", "));
                let message =
                    format!("Input tag '{tag}' found using 'type' does not match any of the expected tags: {tags}");
                let (tag, tags) = (python::quoted(&tag), python::quoted(&tags));
                let context = format!("{CONTEXT}, 'tag': {tag}, 'expected_tags': {tags}");
                Wrong::with("union_tag_invalid", message, context)
            }),
        }
    }

    fn one_of(&mut self, value: &Value, kinds: &[Kind], loc: Loc<'_>) {
        let limits = self.limits;
        if kinds.iter().any(|kind| Self::passes(limits, |passing| passing.value(value, kind, loc))) {
            return;
        }
        self.n_wrong += 1;
        if !self.tells {
            return;
        }
        for kind in kinds {
            match kind {
                Kind::Object(Form::TypedDict | Form::NamedModel, name, _) => {
                    self.value(value, kind, Loc::Form(&loc, name));
                }
                _ => self.value(value, kind, loc),
            }
        }
    }
}

fn too_many(most: usize, n_items: usize) -> Wrong {
    let plural = if most == 1 { "" } else { "s" };
    let message = format!("List should have at most {most} item{plural} after validation, not {n_items}");
    let context = format!("'field_type': 'List', 'max_length': {most}, 'actual_length': {n_items}");
    Wrong::with("too_long", message, context)
}

/// A text that stands for nothing else.
fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|_| large_number(value).is_none() && token_ids::first_and_count(value).is_none())
}
