"""Tools as agents use them: the openai package, JSON Schemas judged by the jsonschema package, an agent framework."""

import json
import os

import jsonschema
import openai
import pydantic
import pydantic_ai
import pytest
from pydantic_ai import NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from schemas import SCHEMAS

URL = os.environ["RANDOM_URL"] + "/v1"
MESSAGES = [{"role": "user", "content": "do something"}]


@pytest.fixture(scope="module")
def client():
    return openai.OpenAI(base_url=URL, api_key="none", max_retries=0)


def tool(name, parameters):
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [tool("first", {"type": "object", "properties": {"n": {"type": "integer"}}}), tool("second", {"type": "object"})]
NAMED = {"type": "function", "function": {"name": "second"}}


def ask(client, stream, **more):
    """The calls of one answer as (name, arguments), its content and its finish reason."""
    answer = client.chat.completions.create(model="m", messages=MESSAGES, stream=stream, **{"tools": TOOLS, **more})
    if not stream:
        message = answer.choices[0].message
        calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or []]
        return calls, message.content, answer.choices[0].finish_reason
    calls, content, finish_reason = [], "", None
    for chunk in answer:
        for part in chunk.choices[0].delta.tool_calls or []:
            if part.id:
                assert part.index == len(calls)
                calls.append([part.function.name, ""])
            calls[part.index][1] += part.function.arguments or ""
        content += chunk.choices[0].delta.content or ""
        finish_reason = chunk.choices[0].finish_reason or finish_reason
    return [tuple(call) for call in calls], content, finish_reason


@pytest.mark.parametrize("stream", [False, True])
def test_tool_choices(client, stream):
    for seed in range(20):
        calls, content, reason = ask(client, stream, seed=seed)
        assert (reason, bool(content)) == (("tool_calls", False) if calls else ("stop", True))
        calls, content, reason = ask(client, stream, seed=seed, tool_choice="required")
        assert calls and not content and reason == "tool_calls"
        calls, content, reason = ask(client, stream, seed=seed, tool_choice=NAMED)
        assert [name for name, _ in calls] == ["second"] and reason == "stop"
        calls, content, reason = ask(client, stream, seed=seed, tool_choice="required", parallel_tool_calls=False)
        assert len(calls) == 1
        calls, content, reason = ask(client, stream, seed=seed, tool_choice="none")
        assert not calls and content


def test_streams_say_what_answers_in_one_piece_say(client):
    for seed in range(20):
        whole, _, _ = ask(client, False, seed=seed, tool_choice="required")
        streamed, _, _ = ask(client, True, seed=seed, tool_choice="required")
        assert whole == streamed


def test_arguments_of_200_schemas_validate(client):
    assert len(SCHEMAS) == 200
    for schema in SCHEMAS:
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        for seed in range(3):
            calls, _, _ = ask(client, False, seed=seed, tools=[tool("f", schema)], tool_choice="required")
            for _, arguments in calls:
                errors = [error.message for error in validator.iter_errors(json.loads(arguments))]
                assert not errors, (schema, arguments, errors)


def agent(api=OpenAIChatModel, **more):
    return pydantic_ai.Agent(api("m", provider=OpenAIProvider(base_url=URL, api_key="none")), **more)


@pytest.mark.parametrize("api", [OpenAIChatModel, OpenAIResponsesModel])
def test_an_agent_with_two_tools_ends_by_itself(api):
    calls, plain = [], agent(api)

    @plain.tool_plain
    def roll(sides: int) -> int:
        calls.append(("roll", sides))
        return 1

    @plain.tool_plain
    def look_up(word: str, language: str = "en") -> str:
        calls.append(("look_up", word))
        return word

    for _ in range(10):
        assert plain.run_sync("roll a die and look up the number").output
    assert {name for name, _ in calls} == {"roll", "look_up"}


class Visit(pydantic.BaseModel):
    city: str = pydantic.Field(min_length=1)
    days: int = pydantic.Field(ge=1, le=14)


class Anything(pydantic.BaseModel):
    """A prompted output has its schema in the prompt alone, which a stand-in does not follow: any object has to do."""

    model_config = {"extra": "allow"}


@pytest.mark.parametrize("output", [NativeOutput(Visit), ToolOutput(Visit), PromptedOutput(Anything)])
def test_an_agents_output_has_its_type(output):
    planner = agent(output_type=output, retries=0)
    for _ in range(10):
        assert isinstance(planner.run_sync("Plan a visit.").output, (Visit, Anything))
