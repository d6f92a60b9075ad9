"""Embeddings as the openai package asks for them: it wants base64 unless it is told otherwise, and decodes it."""

import math
import os

import openai
import pytest

from ids import tokens

URL = os.environ["RANDOM_URL"]


@pytest.fixture(scope="module")
def client():
    return openai.OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)


def vectors(client, text, **more):
    answer = client.embeddings.create(model="m", input=text, **more)
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return [item.embedding for item in answer.data]


def test_an_embedding(client):
    answer = client.embeddings.create(model="m", input="one two three")
    [item] = answer.data
    assert len(item.embedding) == 384 and math.isclose(math.hypot(*item.embedding), 1, abs_tol=1e-5)
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("m", 3, 3)


def test_base64_says_what_floats_say(client):
    # Without an encoding the package asks for base64 and decodes it.
    [decoded], [floats] = vectors(client, "one two"), vectors(client, "one two", encoding_format="float")
    assert decoded == pytest.approx(floats, rel=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2, 64, 1536])
def test_dimensions(client, dimensions):
    [vector] = vectors(client, "one two", dimensions=dimensions)
    assert len(vector) == dimensions and math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)


def test_a_list_has_a_vector_for_each_text(client):
    one, two, again = vectors(client, ["one", "two", "one"])
    assert one == again != two
    assert [one] == vectors(client, "one")


def test_ids_are_as_good_as_their_text(client):
    texts = ["one two three", "four five"]
    assert vectors(client, [tokens(URL, prompt=text) for text in texts]) == vectors(client, texts)
    assert vectors(client, tokens(URL, prompt=texts[0])) == vectors(client, texts[0])


def test_an_empty_text_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="empty"):
        vectors(client, "")
