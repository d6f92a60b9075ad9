//! The tables of a body's fields as JSON Schema, for `/openapi.json`. What a rule or a limit of the server's adds is not in
//! it: those answer with 400.

use serde_json::{Map, Value, json};

use super::schema::{Field, Kind};

/// A body that has one of these forms; each is several tables, one after the other.
pub fn body(forms: &[&[&[Field]]]) -> Value {
    let mut forms: Vec<_> = forms.iter().map(|tables| object(tables.iter().copied().flatten())).collect();
    if forms.len() == 1 { forms.remove(0) } else { json!({ "anyOf": forms }) }
}

/// What one field may be.
pub fn field(field: &Field) -> Value {
    let kind = kind(&field.kind);
    if field.takes_null { json!({ "anyOf": [kind, { "type": "null" }] }) } else { kind }
}

fn object<'a>(fields: impl Iterator<Item = &'a Field>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for known in fields {
        properties.insert(known.name.into(), field(known));
        required.extend(known.is_required.then_some(known.name));
    }
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Any => json!({}),
        Kind::Text(least, most) => {
            let mut text = json!({ "type": "string" });
            if *least > 0 {
                text["minLength"] = (*least).into();
            }
            if *most < u32::MAX {
                text["maxLength"] = (*most).into();
            }
            text
        }
        Kind::Integer(least, most) => {
            let mut integer = json!({ "type": "integer" });
            // What JSON's readers take for a number has 64 bits.
            let bound = |bound: i128| i64::try_from(bound).ok();
            integer.as_object_mut().into_iter().for_each(|integer| {
                integer.extend(bound(*least).map(|least| ("minimum".into(), least.into())));
                integer.extend(bound(*most).map(|most| ("maximum".into(), most.into())));
            });
            integer
        }
        Kind::Number => json!({ "type": "number" }),
        Kind::NumberIn(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Words(words) => json!({ "type": "string", "enum": words }),
        Kind::NotEmpty(list) => {
            let mut list = self::kind(list);
            list["minItems"] = 1.into();
            list
        }
        Kind::List(items, _) => json!({ "type": "array", "items": self::kind(items) }),
        Kind::Bytes => json!({ "type": "string", "format": "binary" }),
        Kind::Iterable => json!({ "type": ["array", "object", "string"] }),
        Kind::Map(values) => json!({ "type": "object", "additionalProperties": self::kind(values) }),
        Kind::Object(_, title, fields) => {
            let mut object = object(fields.iter());
            object["title"] = (*title).into();
            object
        }
        Kind::Rule(inner, _) => self::kind(inner),
        Kind::Tagged(kinds) => {
            let tagged = kinds.iter().map(|(tag, inner)| {
                let mut inner = self::kind(inner);
                inner["properties"]["type"] = json!({ "const": tag });
                json!({ "allOf": [inner, { "required": ["type"] }] })
            });
            json!({ "oneOf": tagged.collect::<Vec<_>>() })
        }
        Kind::OneOf(kinds) => json!({ "anyOf": kinds.iter().map(self::kind).collect::<Vec<_>>() }),
    }
}
