"""The same conversation is the same prompt, whichever API it is told through.

Chat completions and /tokenize tell its ids. Responses and messages do not; but the server that these tests get has a
KV cache with blocks of 8 tokens, and these are found again by their ids and all ids before them. After chat has put a
prompt there, another API that finds all its full blocks, and counts as many tokens, has the same ids up to the end of
the last full block. What comes after it was not compared; it is the template's, which ends with more tokens than that.
"""

import os
import random

import anthropic
import openai
import pytest

from ids import tokens

URL = os.environ["CACHING_URL"]
BLOCK = 8
WORDS = "river stone lamp Bern seven green, quickly? no! a the of to 42 été 北京 {x} <b> \"so\"".split(" ")


def conversation(r):
    """Perhaps a system prompt, then turns that end with the user's."""
    say = lambda: " ".join(r.choices(WORDS, k=r.randint(1, 30)))
    system = [{"role": "system", "content": say()}] if r.random() < 0.7 else []
    turns = [{"role": ["user", "assistant"][n % 2], "content": say()} for n in range(2 * r.randint(0, 4) + 1)]
    return system, turns


def conversations():
    r = random.Random(50)
    return [conversation(r) for _ in range(50)]


@pytest.fixture(scope="module")
def client():
    return openai.OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)


def expect(ids, used, cached):
    # Of a prompt that is wholly there, the last token is computed again, as in vLLM.
    assert (used, cached) == (len(ids), (len(ids) - 1) // BLOCK * BLOCK)


def test_50_conversations_are_the_same_prompts_through_three_apis(client):
    claude = anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0)
    seen = set()
    for system, turns in conversations():
        chat = client.chat.completions.create(
            model="m", messages=system + turns, max_tokens=1, extra_body={"return_token_ids": True})
        ids = chat.prompt_token_ids
        assert ids == tokens(URL, messages=system + turns)
        # It was not there before (the server is a new one), or finding it would say nothing.
        assert tuple(ids) not in seen and chat.usage.prompt_tokens_details.cached_tokens < len(ids) - 1 - BLOCK
        seen.add(tuple(ids))

        instructions = system[0]["content"] if system else None
        for more in [{"input": system + turns}, {"instructions": instructions, "input": turns}]:
            usage = client.responses.create(model="m", max_output_tokens=1, **more).usage
            expect(ids, usage.input_tokens, usage.input_tokens_details.cached_tokens)

        more = {"system": instructions} if instructions else {}
        usage = claude.messages.create(model="m", max_tokens=1, messages=turns, **more).usage
        # Anthropic's input_tokens are those that neither came from the cache nor went into it.
        cached, stored = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        expect(ids, usage.input_tokens + stored + cached, cached)
        assert claude.messages.count_tokens(model="m", messages=turns, **more).input_tokens == len(ids)
