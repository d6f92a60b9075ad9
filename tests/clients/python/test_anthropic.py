"""The official anthropic package: messages whole and streamed, tools there and back, formats, counts, thinking."""

import os

import anthropic
import pydantic
import pytest

TEXT = "one two three"
SAID = [{"role": "user", "content": TEXT}]
TOOLS = [
    {"name": "weather", "description": "The weather of a city.", "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    }},
    {"name": "clock", "input_schema": {"type": "object", "properties": {}}},
]


def connect(name):
    return anthropic.Anthropic(base_url=os.environ[name], api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def echo():
    return connect("ECHO_URL")


@pytest.fixture(scope="module")
def random():
    return connect("RANDOM_URL")


def test_a_message(echo):
    answer = echo.messages.create(model="m", max_tokens=50, messages=SAID)
    assert [block.text for block in answer.content] == [TEXT]
    assert (answer.role, answer.stop_reason, answer.model) == ("assistant", "end_turn", "m")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 3)


def test_why_a_message_ends(echo):
    cut = echo.messages.create(model="m", max_tokens=2, messages=SAID)
    assert (cut.content[0].text, cut.stop_reason) == ("one two ", "max_tokens")
    stopped = echo.messages.create(model="m", max_tokens=50, messages=SAID, stop_sequences=["three"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "three")
    assert stopped.content[0].text == "one two "


def test_a_stream(echo):
    with echo.messages.stream(model="m", max_tokens=50, messages=SAID) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert pieces == ["one ", "two ", "three"]
    assert ([block.text for block in final.content], final.stop_reason) == ([TEXT], "end_turn")
    assert (final.usage.input_tokens, final.usage.output_tokens) == (3, 3)


def test_the_events_of_a_stream(echo):
    events = list(echo.messages.create(model="m", max_tokens=50, messages=SAID, stream=True))
    assert [event.type for event in events] == [
        "message_start", "content_block_start", *["content_block_delta"] * 3, "content_block_stop",
        "message_delta", "message_stop",
    ]


def test_a_count_is_what_the_message_has(random):
    more = {"model": "m", "system": "Be brief, all of you.", "messages": SAID}
    counted = random.messages.count_tokens(**more).input_tokens
    assert counted == random.messages.create(max_tokens=1, **more).usage.input_tokens
    assert random.messages.count_tokens(tools=TOOLS, **more).input_tokens >= counted


def uses(message):
    return [block for block in message.content if block.type == "tool_use"]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_there_and_back(random, stream):
    def ask(messages, choice):
        more = {"model": "m", "max_tokens": 200, "messages": messages, "tools": TOOLS, "tool_choice": {"type": choice}}
        if not stream:
            return random.messages.create(**more)
        with random.messages.stream(**more) as events:
            return events.get_final_message()

    first = ask(SAID, "any")
    assert first.stop_reason == "tool_use" and uses(first)
    for use in uses(first):
        assert use.name in ("weather", "clock")
        if use.name == "weather":
            assert isinstance(use.input["city"], str) and isinstance(use.input["days"], int)
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "Rain."} for use in uses(first)]
    said = SAID + [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = ask(said, "none")
    # A random text may be a long one.
    assert second.stop_reason in ("end_turn", "max_tokens")
    assert not uses(second) and second.content[0].text
    assert second.usage.input_tokens > first.usage.input_tokens


def test_a_tool_that_is_named(random):
    for seed in range(5):
        more = {"tools": TOOLS, "tool_choice": {"type": "tool", "name": "weather"}, "extra_body": {"seed": seed}}
        answer = random.messages.create(model="m", max_tokens=200, messages=SAID, **more)
        assert {use.name for use in uses(answer)} == {"weather"}


class Visit(pydantic.BaseModel):
    """Without bounds: the package sends them as words of a description, and judges the answer by them all the same."""

    city: str
    days: int


def test_an_answer_is_parsed(random):
    more = {"model": "m", "max_tokens": 200, "messages": SAID, "output_format": Visit}
    for _ in range(10):
        assert isinstance(random.messages.parse(**more).parsed_output, Visit)
    with random.messages.stream(**more) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Visit)


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_a_block_before_the_text(stream):
    client = connect("REASONING_URL")
    # 1024 is the least budget that there is, and max_tokens must be more.
    more = {"model": "m", "max_tokens": 1025, "messages": SAID, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    for _ in range(20):
        if stream:
            with client.messages.stream(**more) as events:
                answer = events.get_final_message()
        else:
            answer = client.messages.create(**more)
        if [block.type for block in answer.content] == ["thinking", "text"]:
            assert answer.content[0].thinking and answer.content[1].text
            return
    raise AssertionError("none of 20 answers had both")


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"model": "gpt-9"}, anthropic.NotFoundError),
        ({"max_tokens": 0}, anthropic.BadRequestError),
        ({"messages": [{"role": "user", "content": "w " * 200}]}, anthropic.BadRequestError),
    ],
)
def test_errors(echo, more, error):
    with pytest.raises(error):
        echo.messages.create(**{"model": "m", "max_tokens": 9, "messages": SAID, **more})
