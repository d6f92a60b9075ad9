"""LangChain's ChatOpenAI, as chains and agents call it."""

import os

import pydantic
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def model(name, **more):
    return ChatOpenAI(model="m", base_url=os.environ[name] + "/v1", api_key="none", max_retries=0, **more)


@tool
def weather(city: str, days: int = 1) -> str:
    """The weather of a city."""
    return f"Rain in {city}, {days} days long."


class Visit(pydantic.BaseModel):
    """A visit to a city."""

    city: str = pydantic.Field(min_length=1)
    days: int = pydantic.Field(ge=1, le=14)


def test_invoke():
    answer = model("ECHO_URL").invoke([SystemMessage("be brief"), HumanMessage("one two three")])
    assert answer.content == "one two three"
    assert answer.response_metadata["finish_reason"] == "stop"
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (5, 3)


def test_stream():
    chunks = list(model("ECHO_URL", stream_usage=True).stream("one two three"))
    whole = sum(chunks[1:], chunks[0])
    assert len(chunks) > 3 and whole.content == "one two three"
    assert whole.usage_metadata["output_tokens"] == 3


def test_batch():
    answers = model("ECHO_URL").batch([f"number {n}" for n in range(10)])
    assert [answer.content for answer in answers] == [f"number {n}" for n in range(10)]


@pytest.mark.parametrize("responses", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_tools_there_and_back(stream, responses):
    bound = model("RANDOM_URL", use_responses_api=responses).bind_tools([weather], tool_choice="any")
    said = [HumanMessage("How is the weather in Bern?")]
    if stream:
        chunks = list(bound.stream(said))
        answer = sum(chunks[1:], chunks[0])
    else:
        answer = bound.invoke(said)
    assert answer.tool_calls and not answer.invalid_tool_calls
    results = [weather.invoke(call) for call in answer.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    assert model("RANDOM_URL", use_responses_api=responses).invoke(said + [answer] + results).text


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(method):
    structured = model("RANDOM_URL").with_structured_output(Visit, method=method)
    for _ in range(10):
        visit = structured.invoke("Plan a visit.")
        assert isinstance(visit, Visit) and visit.city and 1 <= visit.days <= 14


def test_structured_output_of_a_schema_as_such():
    schema = {"title": "visit", "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    structured = model("RANDOM_URL").with_structured_output(schema, method="json_schema")
    assert isinstance(structured.invoke("Plan.")["city"], str)


def test_json_mode():
    # No schema gets to the server in this mode: only that it is an object can be wanted of it.
    structured = model("RANDOM_URL").with_structured_output(None, method="json_mode")
    assert isinstance(structured.invoke("Plan, in JSON."), dict)


def test_embeddings():
    embeddings = OpenAIEmbeddings(
        model="m", base_url=os.environ["RANDOM_URL"] + "/v1", api_key="none", check_embedding_ctx_length=False)
    one, two = embeddings.embed_documents(["one", "two"])
    assert embeddings.embed_query("one") == one != two
