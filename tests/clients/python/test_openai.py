"""The official openai package, as its users use it. Servers are named by the environment; see tests/e2e/clients.rs."""

import asyncio
import contextlib
import os
import time

import openai
import pytest

MESSAGES = [{"role": "user", "content": "one two three"}]


def url(name):
    return os.environ[name] + "/v1"


@pytest.fixture
def echo():
    return openai.OpenAI(base_url=url("ECHO_URL"), api_key="none", max_retries=0)


@pytest.fixture
def random():
    return openai.OpenAI(base_url=url("RANDOM_URL"), api_key="none", max_retries=0)


def test_models(echo):
    assert [model.id for model in echo.models.list()] == ["m"]


def test_chat(echo):
    answer = echo.chat.completions.create(model="m", messages=MESSAGES)
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 3, 6)


def test_chat_stream(echo):
    chunks = list(echo.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "one two three"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1


def test_chat_stream_with_usage(echo):
    options = {"include_usage": True}
    chunks = list(echo.chat.completions.create(model="m", messages=MESSAGES, stream=True, stream_options=options))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 3
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_chat_stream_helper(echo):
    with echo.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "one two three"
    assert any(event.type == "content.delta" for event in events)


def test_completions(echo):
    answer = echo.completions.create(model="m", prompt="one two three", max_tokens=2)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("one two ", "length")
    chunks = list(echo.completions.create(model="m", prompt="one two three", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "one two three"


def test_completions_of_several_prompts(echo):
    answer = echo.completions.create(model="m", prompt=["a b", "c"], n=2)
    assert [choice.text for choice in answer.choices] == ["a b", "a b", "c", "c"]


def test_n_and_seed(random):
    ask = lambda: random.chat.completions.create(model="m", messages=MESSAGES, n=3, seed=42)
    first, second = ask(), ask()
    texts = [choice.message.content for choice in first.choices]
    assert len(set(texts)) == 3
    assert texts == [choice.message.content for choice in second.choices]
    assert first.id != second.id


def test_stop(echo):
    answer = echo.chat.completions.create(model="m", messages=MESSAGES, stop=["three"])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two ", "stop")
    assert answer.choices[0].stop_reason == "three"


def test_async(random):
    async def ask_all():
        async with openai.AsyncOpenAI(base_url=url("RANDOM_URL"), api_key="none", max_retries=0) as client:
            async def one():
                return await client.chat.completions.create(model="m", messages=MESSAGES, max_tokens=20)

            async def streamed():
                stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
                return [chunk async for chunk in stream]

            async def text():
                stream = await client.completions.create(model="m", prompt="hi", stream=True)
                return [chunk async for chunk in stream]

            models = await client.models.list()
            return models, await asyncio.gather(*[one() for _ in range(20)], streamed(), text())

    models, answers = asyncio.run(ask_all())
    assert [model.id for model in models.data] == ["m"]
    assert all(answer.choices[0].message.content for answer in answers[:20])
    assert answers[20][-1].choices[0].finish_reason in ("stop", "length")
    assert "".join(chunk.choices[0].text for chunk in answers[21])


@pytest.mark.parametrize(
    ("more", "error", "param"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model"),
        ({"temperature": 3}, openai.BadRequestError, "temperature"),
        ({"max_tokens": 5000}, openai.BadRequestError, "max_tokens"),
        ({"messages": "x"}, openai.BadRequestError, "body.messages"),
        ({"messages": [{"role": "user", "content": "w " * 200}]}, openai.BadRequestError, "input_tokens"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(echo, more, error, param, stream):
    with pytest.raises(error) as raised:
        echo.chat.completions.create(**{"model": "m", "messages": MESSAGES, "stream": stream, **more})
    assert raised.value.param == param
    assert raised.value.code == str(raised.value.status_code)
    assert raised.value.type


def test_a_full_queue_is_a_rate_limit():
    async def overflow():
        async with openai.AsyncOpenAI(base_url=url("BUSY_URL"), api_key="none", max_retries=0) as client:
            # The status of a stream comes when its request has its place.
            first = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            with pytest.raises(openai.RateLimitError) as raised:
                await client.chat.completions.create(model="m", messages=MESSAGES)
            await first.close()
            return raised.value

    assert asyncio.run(overflow()).type == "RateLimitError"


def test_a_timeout_is_the_clients():
    slow = openai.OpenAI(base_url=url("BUSY_URL"), api_key="none", max_retries=0, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        for _ in range(100):
            # The place of the stream above is free as soon as the server has seen that its client is gone.
            with contextlib.suppress(openai.RateLimitError):
                slow.chat.completions.create(model="m", messages=MESSAGES)
            time.sleep(0.05)
