"""Answers of a format, judged by the jsonschema package, by pydantic and by Python's own expressions."""

import enum
import json
import os
import pathlib
import re

import jsonschema
import openai
import pydantic
import pytest

from expressions import CHOICES, REGEXES
from schemas import SCHEMAS
from shapes import SHAPES

MESSAGES = [{"role": "user", "content": "describe something"}]
JUDGE = jsonschema.Draft202012Validator
SEEDS = range(3)


@pytest.fixture(scope="module")
def client():
    return openai.OpenAI(base_url=os.environ["RANDOM_URL"] + "/v1", api_key="none", max_retries=0)


def ask(client, **more):
    [choice] = client.chat.completions.create(model="m", messages=MESSAGES, max_tokens=900, **more).choices
    assert choice.finish_reason == "stop", (more, choice)
    return choice.message.content


def asked_by_schema(client, schema, seed):
    format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return ask(client, response_format=format, seed=seed)


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(pattern=r"^[A-Z][a-z]+$")
    email: str | None
    mood: Mood


class Party(pydantic.BaseModel):
    host: Person
    guests: list[Person] = pydantic.Field(min_length=1, max_length=3)
    rooms: dict[str, int]


@pytest.mark.parametrize("model", [Person, Party])
def test_an_answer_is_parsed(client, model):
    for seed in range(10):
        answer = client.chat.completions.parse(model="m", messages=MESSAGES, response_format=model, seed=seed)
        assert isinstance(answer.choices[0].message.parsed, model)


def test_a_parsed_stream(client):
    with client.chat.completions.stream(model="m", messages=MESSAGES, response_format=Party, seed=1) as stream:
        assert any(event.type == "content.delta" and event.parsed for event in stream)
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Party)


@pytest.mark.parametrize("schemas", [SCHEMAS, SHAPES], ids=["200 of arguments", "100 of answers"])
def test_answers_of_300_schemas_validate(client, schemas):
    assert len(schemas) in (200, 100)
    wrong = []
    for schema in schemas:
        JUDGE.check_schema(schema)
        validator = JUDGE(schema, format_checker=JUDGE.FORMAT_CHECKER)
        for seed in SEEDS:
            answer = asked_by_schema(client, schema, seed)
            wrong += [(schema, seed, answer, error.message) for error in validator.iter_errors(json.loads(answer))]
    assert not wrong


def test_a_public_collection_of_schemas(client):
    """Each is answered with what validates, or refused with the reason: most of those refer to other documents."""
    path = pathlib.Path(__file__).parents[2] / "data" / "json-schema-test-suite.jsonl"
    _, *cases = map(json.loads, path.read_text().splitlines())
    refused, wrong = [], []
    for case in cases:
        try:
            answer = asked_by_schema(client, case["schema"], 1)
        except openai.BadRequestError as error:
            assert "format that is asked for: " in error.message or "can follow the JSON schema: " in error.message
            refused.append(case["of"])
            continue
        try:
            wrong += [(case, answer, error.message) for error in JUDGE(case["schema"]).iter_errors(json.loads(answer))]
        except re.error:
            # The judge knows no classes of Unicode.
            assert "\\\\p{" in json.dumps(case["schema"])
    assert not wrong
    assert len(cases) - len(refused) >= 300, refused


def test_an_object_of_any_kind(client):
    for seed in range(20):
        assert isinstance(json.loads(ask(client, response_format={"type": "json_object"}, seed=seed)), dict)


def test_answers_of_40_expressions_match(client):
    assert len(REGEXES) == 40
    for regex in REGEXES:
        for seed in SEEDS:
            answer = ask(client, extra_body={"structured_outputs": {"regex": regex}}, seed=seed)
            assert re.fullmatch(regex, answer), (regex, answer)


def test_answers_of_20_lists_are_one_of_them(client):
    assert len(CHOICES) == 20
    for choices in CHOICES:
        answers = {ask(client, extra_body={"structured_outputs": {"choice": choices}}, seed=seed) for seed in range(12)}
        assert answers <= set(choices)
        assert len(answers) > 1 or len(choices) == 1
