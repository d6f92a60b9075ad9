"""Failures on purpose, as the openai package reports them."""

import os
import time

import httpx2
import openai
import pytest

URL = os.environ["FAILING_URL"] + "/v1"
MESSAGES = [{"role": "user", "content": "one two three four five six seven eight"}]


def client(tenant, **more):
    return openai.OpenAI(base_url=URL, api_key="none", max_retries=0, default_headers={"x-tenant-id": tenant}, **more)


def stream(tenant, **more):
    return client(tenant, **more).chat.completions.create(model="m", messages=MESSAGES, stream=True)


def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_cut_after_five_tokens_is_a_connection_error():
    chunks = []
    with pytest.raises((openai.APIConnectionError, httpx2.TransportError)):
        for chunk in stream("cut"):
            chunks.append(chunk)
    assert text(chunks) == "one two three four five "


def test_after_a_stall_the_stream_is_whole():
    start = time.monotonic()
    assert text(stream("stall")) == MESSAGES[0]["content"]
    assert time.monotonic() - start >= 0.5


def test_a_hang_ends_with_the_clients_timeout_and_frees_the_place():
    with pytest.raises(openai.APITimeoutError):
        list(stream("hang", timeout=0.5))
    assert text(stream("well", timeout=60)) == MESSAGES[0]["content"]


def test_an_error_in_a_stream_is_an_api_error():
    with pytest.raises(openai.APIError, match="lost it"):
        list(stream("error"))


def test_a_forced_error_has_its_exception():
    forced = {"X-Return-Error": "429"}
    with pytest.raises(openai.RateLimitError) as raised:
        client("well").chat.completions.create(model="m", messages=MESSAGES, extra_headers=forced)
    assert raised.value.response.headers["retry-after"] == "1"
