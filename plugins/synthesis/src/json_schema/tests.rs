//! Schemas as people write them, and the odd ones. Each is drawn from 50 seeds, and judged by the `jsonschema` crate.

use serde_json::{Map, json};

use super::*;
use rehearsal_sdk::rng;

fn check(schema: Value) {
    let validator = jsonschema::validator_for(&schema).unwrap();
    for seed in 0..50 {
        match value_for(&schema, &Bounds::default(), &mut rng(seed)) {
            Ok(value) => assert!(validator.is_valid(&value), "{value} for {schema}"),
            Err(reason) => panic!("{reason} for {schema}"),
        }
    }
}

#[test]
fn every_keyword_alone_is_met() {
    for schema in [
        json!({ "type": "string" }),
        json!({ "type": "integer" }),
        json!({ "type": "number" }),
        json!({ "type": "boolean" }),
        json!({ "type": "null" }),
        json!({ "type": "array" }),
        json!({ "type": "object" }),
        json!({}),
        json!(true),
        json!({ "type": ["string", "null", "integer"] }),
        json!({ "enum": [1, "two", null, { "three": 3 }] }),
        json!({ "const": { "a": [1] } }),
        json!({ "type": "integer", "minimum": -5, "exclusiveMaximum": -3 }),
        json!({ "type": "integer", "minimum": 1000 }),
        json!({ "type": "integer", "maximum": -1000 }),
        json!({ "type": "integer", "multipleOf": 7, "minimum": 20 }),
        json!({ "type": "integer", "multipleOf": 2.5 }),
        json!({ "type": "number", "minimum": 1, "maximum": 1 }),
        json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001 }),
        json!({ "type": "number", "multipleOf": 0.25, "minimum": 3, "maximum": 4 }),
        json!({ "type": "string", "minLength": 30 }),
        json!({ "type": "string", "maxLength": 3 }),
        json!({ "type": "string", "minLength": 0, "maxLength": 0 }),
        json!({ "type": "string", "pattern": "^[A-Z]{2}-\\d{3,5}$" }),
        json!({ "type": "string", "pattern": "(foo|bar)+\\.txt" }),
        json!({ "type": "string", "pattern": "^\\S+@\\w+$" }),
        json!({ "type": "array", "items": { "type": "integer" }, "minItems": 3, "maxItems": 3 }),
        json!({ "type": "array", "items": { "enum": [1, 2, 3] }, "uniqueItems": true }),
        json!({ "type": "array", "items": { "enum": [1, 2, 3] }, "uniqueItems": true, "minItems": 3 }),
        json!({ "type": "array", "prefixItems": [{ "type": "string" }, { "type": "integer" }], "items": false }),
        json!({ "type": "array", "contains": { "const": 7 }, "maxItems": 2 }),
        json!({ "type": "object", "required": ["unnamed"] }),
        json!({ "type": "object", "minProperties": 2, "additionalProperties": { "type": "integer" } }),
        json!({ "type": "object", "patternProperties": { "^x-": { "type": "integer" } }, "required": ["x-a"] }),
        json!({ "type": "integer", "not": { "multipleOf": 2 } }),
        json!({ "type": "object", "properties": { "a": { "type": "string" } }, "propertyNames": { "maxLength": 5 } }),
    ] {
        check(schema);
    }
}

#[test]
fn keywords_together_are_met() {
    for schema in [
        json!({ "anyOf": [{ "type": "string", "maxLength": 2 }, { "type": "integer", "minimum": 7 }] }),
        json!({ "oneOf": [{ "type": "integer", "multipleOf": 2 }, { "type": "integer", "multipleOf": 3 }] }),
        json!({ "allOf": [{ "minimum": 3 }, { "maximum": 5 }], "type": "integer" }),
        json!({ "allOf": [{ "type": ["integer", "string"] }, { "type": ["number", "null"] }] }),
        json!({ "type": "object", "allOf": [
            { "properties": { "a": { "type": "integer" } }, "required": ["a"] },
            { "properties": { "a": { "minimum": 50 }, "b": { "type": "boolean" } }, "required": ["b"] } ] }),
        json!({ "$ref": "#/$defs/point", "$defs": { "point": { "type": "object", "required": ["x"],
            "properties": { "x": { "$ref": "#/$defs/coordinate" } } }, "coordinate": { "type": "number" } } }),
        json!({ "type": "object", "properties": { "value": { "type": "integer" }, "next": { "$ref": "#" } },
            "required": ["value"], "additionalProperties": false }),
        json!({ "type": "object", "required": ["kind"], "properties": { "kind": { "enum": ["a", "b"] } },
            "if": { "properties": { "kind": { "const": "a" } } }, "then": { "minProperties": 1 } }),
        json!({ "type": "object", "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
            "dependentRequired": { "a": ["b"] } }),
        json!({ "type": "object", "properties": { "when": { "type": "string", "format": "date-time" } },
            "required": ["when"], "title": "t", "description": "d", "examples": [], "$schema": "https://json-schema.org/draft/2020-12/schema" }),
    ] {
        check(schema);
    }
}

#[test]
fn what_leads_back_to_itself_ends() {
    let nullable = json!({ "anyOf": [{ "$ref": "#" }, { "type": "null" }] });
    let fields = |names: &str| -> Value {
        let properties: serde_json::Map<_, _> = names.chars().map(|name| (name.into(), nullable.clone())).collect();
        let required: Vec<_> = properties.keys().cloned().collect();
        json!({ "type": "object", "properties": properties, "required": required })
    };
    let list = |more: Value| {
        let mut list = json!({ "type": "array", "items": { "$ref": "#" } });
        list.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "type": "object", "properties": { "c": list }, "required": ["c"] })
    };
    for schema in [
        fields("lr"),
        fields("abcdef"),
        list(json!({})),
        list(json!({ "maxItems": 2 })),
        list(json!({ "prefixItems": [{ "type": "integer" }, { "$ref": "#" }] })),
        json!({ "type": "array", "items": { "$ref": "#" } }),
    ] {
        for seed in 0..20 {
            let value = value_for(&schema, &Bounds::default(), &mut rng(seed)).unwrap();
            assert!(is_valid(&schema, &value), "{value} for {schema}");
            assert!(value.to_string().len() < 100_000, "{} bytes for {schema}", value.to_string().len());
        }
    }
}

#[test]
fn what_cannot_be_had_says_why() {
    for (schema, reason) in [
        (json!(false), "admits nothing"),
        (json!({ "type": "integer", "minimum": 5, "maximum": 4 }), "no integer is between 5 and 4"),
        (json!({ "type": "array", "minItems": 3, "maxItems": 1 }), "at least 3 and at most 1 contradict each other"),
        (json!({ "type": "array", "uniqueItems": true, "minItems": 3, "items": { "type": "boolean" } }), "3 different"),
        (json!({ "enum": [] }), "an `enum` has no values"),
        (json!({ "$ref": "#/$defs/none" }), "leads nowhere"),
        (json!({ "$ref": "#" }), "leads to itself"),
        (json!({ "$ref": "https://example.com/schema" }), "leaves the schema"),
        (json!({ "type": "object", "required": ["me"], "properties": { "me": { "$ref": "#" } } }), "has no end"),
        (json!({ "type": "string", "pattern": "(?=a)b" }), "parts that are not supported"),
        (json!({ "type": "string", "not": {} }), "no value was hit upon"),
        (json!({ "type": "tuple" }), "\"tuple\" is not a type"),
        (json!({ "type": [] }), "no type is left"),
        (json!(5), "5 is not a schema"),
    ] {
        let error = value_for(&schema, &Bounds::default(), &mut rng(1)).unwrap_err();
        assert!(error.contains(reason), "{error:?} for {schema}");
    }
}

/// All of them would have been one too many.
#[test]
fn a_schema_with_many_parts_is_answered_however_many_they_are() {
    let names: Vec<_> = (0..5_000).map(|at| format!("p{at}")).collect();
    let properties: Map<_, _> = names.iter().map(|name| (name.clone(), json!({ "type": "integer" }))).collect();
    let schema = json!({ "type": "object", "properties": properties, "required": names });
    let value = value_for(&schema, &Bounds::default(), &mut rng(1)).unwrap();
    assert!(is_valid(&schema, &value) && value.as_object().unwrap().len() == 5_000);
}

#[test]
fn what_is_given_up_is_not_said_to_be_impossible() {
    // Each part is likely to fail, and all must hold.
    let part = json!({ "type": "string", "pattern": "^[a-z]{12}$", "allOf": [{ "pattern": "^abc" }] });
    let properties: Map<_, _> = (0..200).map(|at| (format!("p{at}"), part.clone())).collect();
    let names: Vec<_> = properties.keys().cloned().collect();
    let schema = json!({ "type": "object", "properties": properties, "required": names });
    let error = value_for(&schema, &Bounds::default(), &mut rng(1)).unwrap_err();
    assert!(error.starts_with("gave up after ") && error.contains("no value was hit upon for"), "{error}");
}

#[test]
fn bounds_fill_only_what_the_schema_leaves_open() {
    let bounds = Bounds {
        integer: (10, 12),
        number: (0.5, 0.6),
        array_length: (2, 2),
        optional_property: 0,
        optional_field: 100,
    };
    let draw =
        |schema: Value| (0..50).map(|seed| value_for(&schema, &bounds, &mut rng(seed)).unwrap()).collect::<Vec<_>>();
    assert!(draw(json!({ "type": "integer" })).iter().all(|value| (10..=12).contains(&value.as_i64().unwrap())));
    assert!(
        draw(json!({ "type": "integer", "maximum": 11 }))
            .iter()
            .all(|value| (10..=11).contains(&value.as_i64().unwrap()))
    );
    assert!(draw(json!({ "type": "integer", "minimum": 99 })).iter().all(|value| value.as_i64().unwrap() >= 99));
    assert!(draw(json!({ "type": "array" })).iter().all(|value| value.as_array().unwrap().len() == 2));
    let nested = json!({ "type": "object", "required": ["o"], "properties": { "no": {}, "o": { "type": "object",
        "properties": { "yes": {} } } } });
    assert!(draw(nested).iter().all(|value| value.get("no").is_none() && value["o"].get("yes").is_some()));
}

/// Schemas that once were refused, though values for them exist.
#[test]
fn satisfiable_schemas_are_not_given_up() {
    let each = |count: usize, schema: Value| {
        let properties: serde_json::Map<_, _> = (0..count).map(|at| (format!("p{at}"), schema.clone())).collect();
        let required: Vec<_> = properties.keys().cloned().collect();
        json!({ "type": "object", "properties": properties, "required": required })
    };
    let defs = json!({
        "a": { "type": "object", "properties": { "x": { "type": "integer" } }, "required": ["x"] },
        "b": { "type": "object", "properties": { "y": { "type": "string" } }, "required": ["y"] },
        "Foo<int>": { "type": "integer" },
        "named": { "$anchor": "here", "type": "boolean" },
    });
    let refer = |reference: &str| json!({ "$ref": reference, "$defs": defs });
    let nested = (0..40).fold(json!({ "type": "integer" }), |inner, _| each(1, inner));
    for schema in [
        json!({ "allOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/b" }], "$defs": defs }),
        json!({ "allOf": [{ "anyOf": [{ "minimum": 3 }, { "maximum": 1 }] }, { "anyOf": [{ "multipleOf": 2 }] }], "type": "integer" }),
        refer("#/$defs/Foo%3Cint%3E"),
        refer("#here"),
        json!({ "type": "string", "pattern": "^[a-z]+$", "minLength": 8 }),
        json!({ "type": "string", "pattern": "^[a-zA-Z0-9_-]*$", "minLength": 20, "maxLength": 30 }),
        json!({ "type": "string", "format": "uri", "minLength": 40 }),
        each(10, json!({ "oneOf": [{ "type": "integer" }, { "type": "number" }] })),
        each(8, json!({ "type": "number", "multipleOf": 0.5, "exclusiveMinimum": 0, "exclusiveMaximum": 1 })),
        each(40, json!({ "type": "string", "default": null })),
        json!({ "type": "integer", "minimum": 1e30 }),
        json!({ "type": "integer", "minimum": 9_007_199_254_740_993_u64, "maximum": 9_007_199_254_740_993_u64 }),
        json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true, "minItems": 30 }),
        json!({ "type": "object", "minProperties": 20 }),
        json!({ "type": "number", "minimum": -1.7e308, "maximum": 1.7e308 }),
        json!({ "type": "number", "multipleOf": 0.01 }),
        json!({ "type": "number", "multipleOf": 0.1 }),
        nested,
    ] {
        check(schema);
    }
}

#[test]
fn decimals_are_those_of_the_step() {
    for seed in 0..100 {
        let schema = json!({ "type": "number", "multipleOf": 0.1 });
        let value = value_for(&schema, &Bounds::default(), &mut rng(seed)).unwrap();
        assert!(value.to_string().len() <= 5, "{value}");
        assert_eq!((value.as_f64().unwrap() / 0.1).fract(), 0.0, "{value}");
    }
}

/// More than anybody would wait for.
#[test]
fn what_is_too_large_is_refused_at_once_with_the_reason() {
    for (schema, reason) in [
        (json!({ "type": "array", "minItems": 1_000_000_000 }), "an array of 1000000000 elements"),
        (json!({ "type": "string", "minLength": 1_000_000_000 }), "a string of 1000000000 characters"),
        (json!({ "type": "object", "minProperties": 1_000_000 }), "an object of 1000000 properties"),
        (json!({ "type": "string", "pattern": "^(((a{100}){100}){100}){100}$" }), "the pattern"),
    ] {
        let refused = value_for(&schema, &Bounds::default(), &mut rng(1)).unwrap_err();
        assert!(refused.starts_with(reason), "{refused}");
    }
}

#[test]
fn what_is_alone_in_the_way_is_left_out() {
    let needs = |name: &str| json!({ "required": [name] });
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let properties: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!(true))).collect();
    for schema in [
        json!({ "type": "object", "properties": properties, "oneOf": names.map(needs) }),
        json!({ "properties": { "a": true, "b": true }, "required": ["a"], "dependentRequired": { "a": ["b"], "b": ["c"] } }),
        json!({ "$schema": "http://json-schema.org/draft-07/schema#", "required": ["a"], "dependencies": { "a": ["z"] } }),
        json!({ "if": { "maxLength": 4, "type": "string" }, "then": { "const": "yes" }, "else": { "const": "other" } }),
        json!({ "type": "array", "contains": { "minimum": 50 }, "items": { "type": "integer", "maximum": 60 }, "minContains": 2 }),
        json!({ "type": "array", "contains": { "const": "x" }, "minContains": 0, "maxContains": 0 }),
        json!({ "prefixItems": [true, false] }),
    ] {
        check(schema);
    }
}

#[test]
fn what_no_part_looks_at_is_looked_at_in_the_end() {
    for schema in [
        json!({ "type": "object", "allOf": [{ "properties": { "a": true } }], "unevaluatedProperties": false }),
        json!({ "type": "array", "prefixItems": [true], "unevaluatedItems": { "type": "integer" }, "minItems": 3 }),
        json!({
            "type": "object",
            "properties": { "kind": { "enum": ["a", "b"] } },
            "required": ["kind"],
            "if": { "properties": { "kind": { "const": "a" } } },
            "then": { "properties": { "n": { "type": "integer" } } },
            "else": { "patternProperties": { "^s": { "type": "string" } } },
            "unevaluatedProperties": false,
        }),
    ] {
        check(schema.clone());
        let validator = jsonschema::validator_for(&schema).unwrap();
        for value in [
            json!({ "kind": "a", "n": 1 }),
            json!({ "kind": "b", "s1": "x" }),
            json!({ "kind": "b", "n": 1 }),
            json!({ "a": 1 }),
            json!({ "b": 1 }),
            json!(["x", 1, 2]),
            json!(["x", 1, "2"]),
        ] {
            assert_eq!(is_valid(&schema, &value), validator.is_valid(&value), "{value} for {schema}");
        }
    }
}

/// Branches that lead to the same place, each from two sides.
#[test]
fn what_is_demanded_twice_is_followed_once() {
    let next = |at: usize| json!({ "$ref": format!("#/$defs/a{}", at + 1) });
    let mut defs: serde_json::Map<_, _> =
        (0..12).map(|at| (format!("a{at}"), json!({ "allOf": [next(at), next(at)] }))).collect();
    defs.insert("a12".into(), json!({ "type": "integer" }));
    let schema = json!({ "$ref": "#/$defs/a0", "$defs": defs });
    assert!(value_for(&schema, &Bounds::default(), &mut rng(1)).unwrap().is_i64());
}
