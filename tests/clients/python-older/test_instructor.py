"""Instructor: answers as pydantic models, by each of its ways."""

import os

import instructor
import openai
import pydantic
import pytest

MESSAGES = [{"role": "user", "content": "Plan a visit."}]


class Stop(pydantic.BaseModel):
    city: str = pydantic.Field(min_length=1)
    nights: int = pydantic.Field(ge=1, le=5)


class Visit(pydantic.BaseModel):
    title: str
    stops: list[Stop] = pydantic.Field(min_length=1, max_length=3)


class Anything(pydantic.BaseModel):
    """In JSON mode the schema is in the prompt alone, which a stand-in does not follow: any object has to do."""

    model_config = {"extra": "allow"}


def client(mode):
    plain = openai.OpenAI(base_url=os.environ["RANDOM_URL"] + "/v1", api_key="none", max_retries=0)
    return instructor.from_openai(plain, mode=mode)


def ask(mode, model, **more):
    more = {"messages": MESSAGES, "response_model": model, "max_retries": 0, **more}
    return client(mode).chat.completions.create(model="m", **more)


@pytest.mark.parametrize("mode", [instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS])
def test_a_model(mode):
    for seed in range(10):
        visit = ask(mode, Visit, seed=seed)
        assert isinstance(visit, Visit) and 1 <= len(visit.stops) <= 3


@pytest.mark.parametrize("mode", [instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS])
def test_a_model_that_grows_in_a_stream(mode):
    whole = None
    for whole in client(mode).chat.completions.create_partial(model="m", messages=MESSAGES, response_model=Visit):
        pass
    assert Visit.model_validate(whole.model_dump())


def test_json_mode():
    for seed in range(10):
        assert isinstance(ask(instructor.Mode.JSON, Anything, seed=seed), Anything)
