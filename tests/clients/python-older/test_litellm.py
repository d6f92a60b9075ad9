"""LiteLLM, which calls a vLLM server `hosted_vllm`."""

import asyncio
import json
import os

# Read when it is imported: its table of prices is the one that it ships, not one that it fetches.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import pytest

MESSAGES = [{"role": "user", "content": "one two three"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def ask(name, **more):
    more = {"messages": MESSAGES, "num_retries": 0, **more}
    return litellm.completion("hosted_vllm/m", api_base=os.environ[name] + "/v1", **more)


def test_a_completion():
    answer = ask("ECHO_URL")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two three", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 3)


def test_a_stream():
    chunks = list(ask("ECHO_URL", stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("one two three", "stop")
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (3, 3)


def test_several_at_once():
    async def all_of_them():
        one = lambda: litellm.acompletion("hosted_vllm/m", messages=MESSAGES, api_base=os.environ["RANDOM_URL"] + "/v1")
        return await asyncio.gather(*[one() for _ in range(10)])

    assert all(answer.choices[0].message.content for answer in asyncio.run(all_of_them()))


@pytest.mark.parametrize("stream", [False, True])
def test_tools_there_and_back(stream):
    answer = ask("RANDOM_URL", tools=[TOOL], tool_choice="required", stream=stream)
    message = (litellm.stream_chunk_builder(list(answer)) if stream else answer).choices[0].message
    assert message.tool_calls
    said = MESSAGES + [message.model_dump(include={"role", "content", "tool_calls"})]
    for call in message.tool_calls:
        assert call.function.name == "weather" and isinstance(json.loads(call.function.arguments)["city"], str)
        said.append({"role": "tool", "tool_call_id": call.id, "content": "Rain."})
    assert ask("RANDOM_URL", messages=said, tools=[TOOL], tool_choice="none").choices[0].message.content


def test_an_answer_of_a_schema():
    days = {"type": "integer", "minimum": 1, "maximum": 3}
    schema = {"type": "object", "properties": {"days": days}, "required": ["days"]}
    format = {"type": "json_schema", "json_schema": {"name": "visit", "schema": schema}}
    answer = ask("RANDOM_URL", response_format=format)
    assert json.loads(answer.choices[0].message.content)["days"] in (1, 2, 3)


def test_reasoning():
    messages = [ask("REASONING_URL", seed=seed).choices[0].message for seed in range(20)]
    assert any(message.reasoning_content and message.content for message in messages)


def test_a_text_completion():
    answer = litellm.text_completion(
        model="hosted_vllm/m", prompt="one two three", max_tokens=2, api_base=os.environ["ECHO_URL"] + "/v1")
    assert answer.choices[0].text == "one two "


def test_an_embedding():
    answer = litellm.embedding("hosted_vllm/m", input=["one", "two"], api_base=os.environ["RANDOM_URL"] + "/v1")
    assert [len(item["embedding"]) for item in answer.data] == [384, 384]


def test_errors():
    with pytest.raises(litellm.BadRequestError):
        ask("ECHO_URL", temperature=3)
    with pytest.raises(litellm.ContextWindowExceededError):
        ask("ECHO_URL", messages=[{"role": "user", "content": "w " * 200}])
