"""200 schemas of arguments: the first by hand, the rest from a seeded generator that nests what the first show."""

import random


def obj(properties, required=None, **more):
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required, **more}


STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}

BY_HAND = [
    {"type": "object"},
    {"type": "object", "properties": {}},
    obj({"city": STRING}),
    obj({"city": STRING, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, required=["city"]),
    obj({"n": {"type": "integer", "minimum": 3, "maximum": 3}}),
    obj({"n": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2}}),
    obj({"n": {"type": "integer", "multipleOf": 5, "minimum": 101}}),
    obj({"n": {"type": "number", "minimum": -1, "maximum": -0.5}}),
    obj({"n": {"type": "number", "multipleOf": 0.5}}),
    obj({"on": {"type": "boolean"}, "off": {"type": "null"}}),
    obj({"a": {"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 2}}),
    obj({"a": {"type": "array", "items": {"type": "array", "items": STRING}}}),
    obj({"a": {"type": "array", "items": {"enum": list(range(9))}, "uniqueItems": True, "minItems": 4}}),
    obj({"a": {"type": "array", "prefixItems": [NUMBER, NUMBER], "items": False, "minItems": 2}}),
    obj({"a": {"type": "array", "contains": {"const": 1}, "maxItems": 3}}),
    obj({"s": {"type": "string", "minLength": 50}}),
    obj({"s": {"type": "string", "maxLength": 1}}),
    obj({"s": {"type": "string", "pattern": "^[a-z]{3}-[0-9]{2}$"}}),
    obj({"s": {"type": "string", "pattern": "^(\\+\\d{1,3} )?\\d{6,9}$"}}),
    obj({"s": {"type": "string", "format": "date"}}),
    obj({"s": {"type": "string", "format": "date-time"}, "e": {"type": "string", "format": "email"}}),
    obj({"u": {"type": "string", "format": "uuid"}, "l": {"type": "string", "format": "uri"}}),
    obj({"c": {"const": "fixed"}}),
    obj({"e": {"enum": [1, "one", None, [1], {"one": 1}]}}),
    obj({"t": {"type": ["string", "null"]}}),
    obj({"x": {"anyOf": [INTEGER, STRING]}}),
    obj({"x": {"oneOf": [{"type": "integer", "maximum": 5}, {"type": "integer", "minimum": 3}]}}),
    obj({"x": {"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 7}]}}),
    obj({"x": {"not": {"type": "string"}, "type": ["integer", "string"]}}),
    obj({"p": {"$ref": "#/$defs/point"}}, **{"$defs": {"point": obj({"x": NUMBER, "y": NUMBER})}}),
    obj({"p": {"$ref": "#/definitions/name"}}, definitions={"name": {"type": "string", "minLength": 3}}),
    obj({"tree": {"$ref": "#/$defs/node"}}, **{
        "$defs": {"node": obj({"v": INTEGER, "l": {"$ref": "#/$defs/node"}}, required=["v"])}}),
    obj({"o": obj({"a": obj({"b": obj({"c": STRING})})})}),
    obj({"a": STRING, "b": STRING, "c": STRING}, required=[], minProperties=2),
    obj({"a": STRING}, additionalProperties=False),
    obj({"a": STRING}, additionalProperties=INTEGER),
    {"type": "object", "required": ["x-id"], "patternProperties": {"^x-": INTEGER}},
    obj({"kind": {"enum": ["a", "b"]}}, **{
        "if": {"properties": {"kind": {"const": "a"}}}, "then": {"properties": {"kind": {"maxLength": 1}}}}),
    obj({"a": INTEGER, "b": INTEGER}, required=[], dependentRequired={"a": ["b"]}),
    obj({"d": {"type": "integer", "default": 7}}),
]


def leaf(r):
    low, size = r.randint(-50, 50), r.randint(0, 6)
    return r.choice([
        {"type": "string", "minLength": size, "maxLength": size + r.randint(0, 9)},
        {"type": "string", "pattern": "^[a-f]{%d,%d}$" % (size, size + 3)},
        {"type": "string", "enum": ["red", "green", "blue"][: 1 + size % 3]},
        {"type": "string", "format": r.choice(["date", "time", "ipv4", "hostname", "uuid"])},
        {"type": "integer", "minimum": low, "maximum": low + size},
        {"type": "integer", "minimum": low, "multipleOf": size + 1},
        {"type": "number", "exclusiveMinimum": low, "maximum": low + size + 0.25},
        {"type": ["boolean", "null"]},
        {"const": {"fixed": [low, None]}},
        {"$ref": "#/$defs/shared"},
    ])


def nested(r, depth):
    if depth == 0:
        return leaf(r)
    inner = lambda: nested(r, r.randint(0, depth - 1))
    least = r.randint(0, 3)
    return r.choice([
        lambda: {"type": "array", "items": inner(), "minItems": least, "maxItems": least + r.randint(0, 3)},
        lambda: {"type": "array", "prefixItems": [inner(), inner()], "minItems": 2},
        lambda: {"anyOf": [inner(), inner()]},
        lambda: {"allOf": [{"type": "object", "properties": {"a": inner()}, "required": ["a"]},
                           {"type": "object", "properties": {"b": inner()}}]},
        lambda: obj({name: inner() for name in r.sample("abcdefgh", r.randint(1, 4))}, required=[]),
        lambda: obj({name: inner() for name in r.sample("abcdefgh", r.randint(1, 4))}, additionalProperties=r.random() < 0.5),
    ])()


def generated(count, seed=2026):
    r = random.Random(seed)
    for _ in range(count):
        properties = {name: nested(r, 3) for name in r.sample(["id", "query", "options", "range", "tags"], r.randint(1, 4))}
        required = [name for name in properties if r.random() < 0.7]
        yield obj(properties, required, **{"$defs": {"shared": {"type": "string", "minLength": 2, "maxLength": 8}}})


SCHEMAS = BY_HAND + list(generated(200 - len(BY_HAND)))
