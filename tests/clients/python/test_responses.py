"""The Responses API as the openai package speaks it."""

import json
import os

import openai
import pydantic
import pytest

TEXT = "one two three"
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def connect(name):
    return openai.OpenAI(base_url=os.environ[name] + "/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def echo():
    return connect("ECHO_URL")


@pytest.fixture(scope="module")
def random():
    return connect("RANDOM_URL")


@pytest.fixture(scope="module")
def keeping():
    return connect("KEEPING_URL")


def test_a_response(echo):
    answer = echo.responses.create(model="m", input=TEXT)
    assert (answer.output_text, answer.status, answer.error) == (TEXT, "completed", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (3, 3, 6)


def test_a_cut_response(echo):
    answer = echo.responses.create(model="m", input=TEXT, max_output_tokens=2)
    assert (answer.output_text, answer.status) == ("one two ", "incomplete")
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_a_stream_is_events_in_order(echo):
    events = list(echo.responses.create(model="m", input=TEXT, stream=True))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "content_part.added", *["output_text.delta"] * 3,
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    # The package made a type of its own of each.
    assert isinstance(events[-1], openai.types.responses.ResponseCompletedEvent)
    assert (events[-1].response.output_text, events[-1].response.id) == (TEXT, events[0].response.id)


def test_the_stream_helper(echo):
    with echo.responses.stream(model="m", input=TEXT) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert "response.output_text.delta" in kinds and final.output_text == TEXT


def call(answer):
    [item] = [item for item in answer.output if item.type == "function_call"]
    assert item.name == "weather" and isinstance(json.loads(item.arguments)["city"], str)
    return item


def test_tools_there_and_back(random):
    conversation = [{"role": "user", "content": "How is the weather in Bern?"}]
    first = random.responses.create(model="m", input=conversation, tools=[TOOL], tool_choice="required")
    asked = call(first)
    conversation += [item.to_dict() for item in first.output]
    conversation += [{"type": "function_call_output", "call_id": asked.call_id, "output": "Rain."}]
    second = random.responses.create(model="m", input=conversation, tools=[TOOL])
    assert second.output_text and second.output[-1].type == "message"
    assert second.usage.input_tokens > first.usage.input_tokens


def test_a_streamed_call(random):
    more = {"tools": [TOOL], "tool_choice": "required"}
    with random.responses.stream(model="m", input=TEXT, **more) as stream:
        deltas = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        asked = call(stream.get_final_response())
    assert "".join(deltas) == asked.arguments


class Visit(pydantic.BaseModel):
    city: str = pydantic.Field(min_length=1)
    days: int = pydantic.Field(ge=1, le=14)
    by_train: bool


def test_an_answer_is_parsed(random):
    for _ in range(10):
        answer = random.responses.parse(model="m", input=TEXT, text_format=Visit)
        assert isinstance(answer.output_parsed, Visit) and 1 <= answer.output_parsed.days <= 14


def test_a_parsed_stream(random):
    with random.responses.stream(model="m", input=TEXT, text_format=Visit) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Visit)


def test_a_kept_response_is_read_and_continued(keeping):
    first = keeping.responses.create(model="m", input=TEXT, instructions="Be brief.")
    kept = keeping.responses.retrieve(first.id)
    assert (kept.id, kept.output_text, kept.status) == (first.id, first.output_text, "completed")
    second = keeping.responses.create(model="m", input="four", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    said = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": first.output_text},
            {"role": "user", "content": "four"}]
    whole = keeping.responses.create(model="m", input=said)
    # Instructions are of one response alone.
    assert second.usage.input_tokens == whole.usage.input_tokens


def test_an_unknown_response_is_not_found(keeping):
    with pytest.raises(openai.NotFoundError):
        keeping.responses.retrieve("resp_none")


def test_reasoning_is_an_item_before_the_message():
    client = connect("REASONING_URL")
    for _ in range(20):
        answer = client.responses.create(model="m", input=TEXT, reasoning={"effort": "high"})
        if [item.type for item in answer.output] == ["reasoning", "message"]:
            assert answer.output[0].content[0].text and answer.output_text
            assert 0 < answer.usage.output_tokens_details.reasoning_tokens < answer.usage.output_tokens
            return
    raise AssertionError("none of 20 answers had both")
