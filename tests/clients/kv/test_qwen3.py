"""A real model's tokenizer and chat template, counted once more with Hugging Face's own library."""

import json
import os
import random
from pathlib import Path

import pytest
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from rehearsal import in_threads, server
from tokenizers import Tokenizer

FOLDER = os.environ.get("QWEN3")
pytestmark = pytest.mark.skipif(not FOLDER, reason="NOTICE: no npm, so no Qwen3 tokenizer; not tested")

WORDS = "the quick brown Fuchs springt über 42 lazy 狗 and 👩‍👩‍👧 naïve café don't  we'll\n\n\tdef f(x): return x**2 </think> 1,234.5 e\u0301".split(" ")


@pytest.fixture(scope="module")
def qwen():
    return Tokenizer.from_file(f"{FOLDER}/tokenizer.json")


@pytest.fixture(scope="module")
def subject():
    flags = ["--tokenizer", FOLDER, "--max-model-len", "32K", "--max-num-seqs", "256"]
    # No server answers there: whatever asked the network would be found out.
    with server(*flags, env={"HF_ENDPOINT": "http://127.0.0.1:1"}) as it:
        yield it


def template():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    config = json.loads(Path(FOLDER, "tokenizer_config.json").read_text())
    return environment.from_string(config["chat_template"])


def chats(count):
    rng = random.Random(50)

    def text(most=60):
        return " ".join(rng.choices(WORDS, k=rng.randrange(1, most)))

    for number in range(count):
        messages = [{"role": "system", "content": text(20)}] if number % 3 else []
        for turn in range(rng.randrange(1, 5)):
            parts = [{"type": "text", "text": text()}, {"type": "text", "text": text()}]
            messages.append({"role": "user", "content": parts if turn == 1 else text()})
            if number % 4 == 1:
                arguments = json.dumps({"city": text(4), "days": [1, 2.5], "é": {"z": None, "a": True}})
                call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
                messages.append({"role": "assistant", "content": None if turn else text(5), "tool_calls": [call, call]})
                messages += [{"role": "tool", "tool_call_id": "c1", "content": text(9)} for _ in range(2)]
            elif number % 5 == 2:
                messages.append({"role": "assistant", "content": f"<think>\n{text(5)}\n</think>\n\n{text()}"})
            else:
                messages.append({"role": "assistant", "content": text()})
        messages.append({"role": "user", "content": text()})
        body = {"messages": messages}
        if number % 4 == 1:
            schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {}}, "required": ["city"]}
            function = {"name": "weather", "description": text(8), "parameters": schema}
            body["tools"] = [{"type": "function", "function": function}, {"type": "function", "function": {"name": "bare"}}]
        if number % 7 == 3:
            body["chat_template_kwargs"] = {"enable_thinking": False}
        yield body


def as_vllm_hands_it_over(body):
    """What vLLM makes of a body before the template sees it."""
    messages = []
    for message in body["messages"]:
        content = message["content"] or ""
        if isinstance(content, list):
            content = "\n".join(part["text"] for part in content)
        message = {**message, "content": content}
        if "tool_calls" in message:
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
                for call in message["tool_calls"]
            ]
        messages.append(message)
    tools = body.get("tools") and [
        {"type": "function", "function": {name: tool["function"].get(name) for name in ("name", "description", "parameters")}}
        for tool in body["tools"]
    ]
    return {"messages": messages, "tools": tools, "add_generation_prompt": True, **body.get("chat_template_kwargs", {})}


def test_fifty_chats_have_the_prompt_that_the_model_would_see(subject, qwen):
    compiled = template()
    for body in chats(50):
        expected = qwen.encode(compiled.render(**as_vllm_hands_it_over(body)), add_special_tokens=False).ids
        tokenized = subject.post("/tokenize", body)
        assert tokenized["tokens"] == expected, body
        usage = subject.post("/v1/chat/completions", {**body, "max_tokens": 1, "tool_choice": "none"} if "tools" in body else {**body, "max_tokens": 1})["usage"]
        assert usage["prompt_tokens"] == tokenized["count"] == len(expected)
        assert subject.post("/detokenize", {"tokens": expected})["prompt"] == qwen.decode(expected, skip_special_tokens=False)


def test_text_prompts_and_their_tokens_are_the_same(subject, qwen):
    text = " ".join(WORDS)
    ids = qwen.encode(text).ids
    answer = subject.post("/tokenize", {"prompt": text, "return_token_strs": True})
    assert (answer["tokens"], answer["token_strs"]) == (ids, [qwen.id_to_token(id) for id in ids])
    for prompt in (text, ids):
        assert subject.complete(prompt)["usage"]["prompt_tokens"] == len(ids)
    status, answer = subject.request("POST", "/v1/completions", {"prompt": [10**6]})
    assert (status, b"out of vocabulary" in answer) == (400, True)


def test_ten_thousand_random_answers_have_the_length_that_is_reported(subject, qwen):
    def exact(number):
        """With `ignore_eos` each choice has exactly the length that was asked for."""
        rng = random.Random(number)
        answers = []
        for _ in range(125):
            length = rng.randrange(1, 401)
            body = {"n": 16, "max_tokens": length, "ignore_eos": True, "seed": rng.randrange(10**9), "temperature": 1}
            answer = subject.complete("Tell me.", **body)
            assert answer["usage"]["completion_tokens"] == 16 * length
            answers += [(choice["text"], length) for choice in answer["choices"]]
        return answers

    def reported(number):
        """Otherwise its length is what usage says, in one piece or as a stream."""
        rng = random.Random(1000 + number)
        answers = []
        for at in range(500):
            body = {"messages": [{"role": "user", "content": "Tell me."}], "seed": rng.randrange(10**9), "max_tokens": 400}
            if at % 2:
                answer = subject.post("/v1/chat/completions", body)
                text = answer["choices"][0]["message"]["content"]
                answers.append((text, answer["usage"]["completion_tokens"]))
                continue
            body |= {"stream": True, "stream_options": {"include_usage": True}}
            status, stream = subject.request("POST", "/v1/chat/completions", body)
            assert status == 200
            chunks = [json.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
            text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
            answers.append((text, chunks[-1]["usage"]["completion_tokens"]))
        return answers

    answers = sum(in_threads(4, exact) + in_threads(4, reported), [])
    assert len(answers) == 10_000
    encodings = qwen.encode_batch([text for text, _ in answers], add_special_tokens=False)
    wrong = [(text, length) for (text, length), encoding in zip(answers, encodings) if len(encoding.ids) != length]
    assert wrong == []


def test_an_echo_is_unchanged_and_no_chunk_splits_a_character(qwen):
    text = " ".join(WORDS)
    with server("--tokenizer", f"{FOLDER}/tokenizer.json", "--mode", "echo") as echo:
        body = {"messages": [{"role": "user", "content": text}], "stream": True, "stream_options": {"include_usage": True}}
        _, stream = echo.request("POST", "/v1/chat/completions", body)
        chunks = [json.loads(line[6:]) for line in stream.decode().split("\n\n") if line.startswith("data: {")]
        pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
        assert "".join(pieces) == text
        assert not any("\ufffd" in piece for piece in pieces)
        assert chunks[-1]["usage"]["completion_tokens"] == len(qwen.encode(text, add_special_tokens=False).ids)
