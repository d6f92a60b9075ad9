"""100 schemas of answers: shapes that public collections show, in words of our own, then seeded ones of every type."""

import random

from schemas import INTEGER, NUMBER, STRING, generated, nested, obj


def array(items, **more):
    return {"type": "array", "items": items, **more}


def text(**more):
    return {"type": "string", **more}


def closed(properties, required=None, **more):
    """As strict modes want their objects."""
    return obj(properties, required, additionalProperties=False, **more)


POSITION = array(NUMBER, minItems=2, maxItems=3)
LATITUDE = {"type": "number", "minimum": -90, "maximum": 90}
LONGITUDE = {"type": "number", "minimum": -180, "maximum": 180}
MONEY = closed({"amount": {"type": "number", "minimum": 0}, "currency": text(pattern="^[A-Z]{3}$")})
ADDRESS = obj({"street": STRING, "city": STRING, "zip": text(pattern="^\\d{5}(-\\d{4})?$"),
               "country": text(pattern="^[A-Z]{2}$")}, required=["street", "city"])

BY_HAND = [
    # What a tutorial of JSON Schema begins with.
    obj({"firstName": STRING, "lastName": STRING, "age": {"type": "integer", "minimum": 0, "maximum": 150}}),
    obj({"productId": INTEGER, "productName": STRING, "price": {"type": "number", "exclusiveMinimum": 0},
         "tags": array(STRING, minItems=1, uniqueItems=True)}, required=["productId", "productName", "price"]),
    closed({"latitude": LATITUDE, "longitude": LONGITUDE}),
    ADDRESS,
    obj({"shipping": {"$ref": "#/$defs/address"}, "billing": {"$ref": "#/$defs/address"}},
        **{"$defs": {"address": ADDRESS}}),
    # GeoJSON.
    obj({"type": {"const": "Point"}, "coordinates": POSITION}),
    obj({"type": {"const": "Polygon"},
         "coordinates": array(array(POSITION, minItems=4, maxItems=5), minItems=1, maxItems=2)}),
    obj({"type": {"const": "Feature"}, "properties": {"type": ["object", "null"]}, "geometry": {"oneOf": [
        {"type": "null"},
        closed({"type": {"const": "Point"}, "coordinates": POSITION}),
        closed({"type": {"const": "LineString"}, "coordinates": array(POSITION, minItems=2, maxItems=4)})]}}),
    # Calendars, contacts, posts.
    obj({"summary": text(minLength=1), "start": text(format="date-time"), "end": text(format="date-time"),
         "attendees": array(text(format="email"), maxItems=5)}, required=["summary", "start"]),
    obj({"fn": STRING, "email": array(obj({"type": {"enum": ["home", "work"]}, "value": text(format="email")})),
         "bday": text(format="date"), "tz": text(pattern="^[+-](0\\d|1[0-4]):[0-5]\\d$")}),
    obj({"title": text(maxLength=60), "slug": text(pattern="^[a-z0-9]+(-[a-z0-9]+)*$"),
         "published": {"type": "boolean"}, "body": text(minLength=20, maxLength=200)}),
    # Shops.
    closed({"id": text(format="uuid"), "total": MONEY, "lines": array(
        closed({"sku": text(pattern="^[A-Z]{2}-[0-9]{4,6}$"), "quantity": {"type": "integer", "minimum": 1},
                "price": MONEY}),
        minItems=1, maxItems=4)}),
    obj({"method": {"enum": ["card", "transfer"]}, "card": text(pattern="^([0-9]{4} ){3}[0-9]{4}$"),
         "iban": text(pattern="^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$")},
        required=["method"], anyOf=[{"required": ["card"]}, {"required": ["iban"]}]),
    obj({"discount": {"oneOf": [
        closed({"percent": {"type": "integer", "minimum": 1, "maximum": 100}}), closed({"amount": MONEY})]}}),
    # Files of tools.
    obj({"name": text(pattern="^(@[a-z0-9-]+/)?[a-z0-9-]+$"), "version": text(pattern="^\\d+\\.\\d+\\.\\d+$"),
         "scripts": {"type": "object", "additionalProperties": STRING},
         "dependencies": {"type": "object", "additionalProperties": text(pattern="^[~^]?\\d+\\.\\d+\\.\\d+$")}},
        required=["name", "version"]),
    obj({"on": {"anyOf": [{"enum": ["push", "pull_request"]}, array({"enum": ["push", "pull_request"]}, minItems=1)]},
         "jobs": {"type": "object", "minProperties": 1, "patternProperties": {"^[a-z_]+$": obj({"runs-on": STRING})},
                  "additionalProperties": False}}),
    obj({"apiVersion": {"const": "v1"}, "kind": {"enum": ["Pod", "Service"]}, "metadata": obj(
        {"name": text(pattern="^[a-z]([-a-z0-9]*[a-z0-9])?$", maxLength=63),
         "labels": {"type": "object", "additionalProperties": STRING}}, required=["name"])}),
    obj({"services": {"type": "object", "additionalProperties": obj(
        {"image": STRING, "ports": array(text(pattern="^\\d{2,5}:\\d{2,5}$")), "restart": {"enum": ["no", "always"]}},
        required=["image"])}}),
    obj({"host": text(format="hostname"), "port": {"type": "integer", "minimum": 1, "maximum": 65535},
         "v4": text(format="ipv4"), "v6": text(format="ipv6")}),
    obj({"openapi": text(pattern="^3\\.[01]\\.[0-9]$"), "info": obj({"title": STRING, "version": STRING}),
         "paths": {"type": "object", "patternProperties": {"^/[a-z]+$": {"type": "object"}},
                   "additionalProperties": False}}),
    # What models are asked for: classes, extraction, steps, judgements, trees.
    closed({"label": {"enum": ["positive", "neutral", "negative"]},
            "score": {"type": "number", "minimum": 0, "maximum": 1}}),
    closed({"entities": array(closed({"text": STRING, "type": {"enum": ["person", "place", "thing"]},
                                      "start": {"type": "integer", "minimum": 0}}), maxItems=3)}),
    closed({"steps": array(closed({"explanation": STRING, "output": STRING}), minItems=1, maxItems=5),
            "final_answer": STRING}),
    closed({"reasoning": text(maxLength=100), "winner": {"enum": ["A", "B", "tie"]},
            "scores": closed({"A": INTEGER, "B": INTEGER})}),
    closed({"ui": {"$ref": "#/$defs/element"}}, **{"$defs": {"element": closed(
        {"type": {"enum": ["div", "button"]}, "label": STRING,
         "children": array({"$ref": "#/$defs/element"}, maxItems=2)})}}),
    closed({"head": {"$ref": "#/$defs/link"}}, **{"$defs": {"link": closed(
        {"value": INTEGER, "next": {"anyOf": [{"$ref": "#/$defs/link"}, {"type": "null"}]}})}}),
    closed({"dish": STRING, "price": MONEY, "with": array({"$ref": "#"})}),
    {"$ref": "#/$defs/term", "$defs": {"term": {"oneOf": [NUMBER, closed(
        {"op": {"enum": ["+", "-"]}, "left": {"$ref": "#/$defs/term"}, "right": {"$ref": "#/$defs/term"}})]}}},
    obj({"item": {"discriminator": {"propertyName": "kind"}, "oneOf": [
        obj({"kind": {"const": "cat"}, "lives": {"type": "integer", "minimum": 1, "maximum": 9}}),
        obj({"kind": {"const": "dog"}, "barks": {"type": "boolean"}})]}}),
    obj({"query": STRING, "filters": array(obj({"field": {"enum": ["date", "author"]}, "op": {"enum": ["<", "=", ">"]},
                                               "value": {"type": ["string", "number"]}})),
         "limit": {"type": "integer", "default": 10}}),
    # What pydantic writes of optional fields, tuples, sets and dictionaries.
    obj({"a": {"anyOf": [INTEGER, {"type": "null"}], "default": None, "title": "A"}}, required=[], title="Model"),
    obj({"pair": {"type": "array", "prefixItems": [STRING, INTEGER], "minItems": 2, "maxItems": 2}}),
    obj({"names": array(STRING, uniqueItems=True, minItems=2)}),
    obj({"by_name": {"type": "object", "additionalProperties": {"type": "number"}}}),
    obj({"when": text(format="date-time"), "how_long": text(format="duration"), "at": text(format="time")}),
    obj({"link": text(format="uri", maxLength=2083, minLength=1), "path": text(format="json-pointer")}),
    # Every root that JSON has.
    array(obj({"id": INTEGER, "done": {"type": "boolean"}}), minItems=1, maxItems=3),
    array({"enum": ["north", "east", "south", "west"]}, uniqueItems=True, minItems=2),
    text(minLength=3, maxLength=12),
    {"type": "integer", "minimum": 1, "maximum": 6},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"enum": ["yes", "no", None, 0]},
]

SHARED = {"$defs": {"shared": {"type": "string", "minLength": 2, "maxLength": 8}}}


def of_every_type(count):
    r = random.Random(33)
    return [{**nested(r, 3), **SHARED} for _ in range(count)]


SHAPES = BY_HAND + of_every_type(30)
SHAPES += generated(100 - len(SHAPES), seed=33)
