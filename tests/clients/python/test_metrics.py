"""The page of metrics, read by Prometheus's own parser for Python."""

import os
import urllib.request

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture(scope="module")
def families():
    client = openai.OpenAI(base_url=os.environ["RANDOM_URL"] + "/v1", api_key="none", max_retries=0)
    client.completions.create(model="m", prompt="one two three", max_tokens=5, extra_body={"ignore_eos": True})
    for _ in client.completions.create(model="m", prompt="one two", max_tokens=3, stream=True):
        pass
    with urllib.request.urlopen(os.environ["RANDOM_URL"] + "/metrics") as answer:
        page = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(page)}


def test_counters_have_what_was_measured(families):
    [generated] = families["vllm:generation_tokens"].samples
    assert families["vllm:generation_tokens"].type == "counter" and generated.value >= 6
    assert generated.labels == {"engine": "0", "model_name": "m"}
    reasons = {sample.labels["finished_reason"] for sample in families["vllm:request_success"].samples}
    assert reasons == {"stop", "length", "abort", "error", "repetition"}


def test_histograms_hold_together(families):
    histograms = [family for family in families.values() if family.type == "histogram"]
    assert len(histograms) > 20
    for family in histograms:
        series = {}
        for sample in family.samples:
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            series.setdefault(labels, {}).setdefault(sample.name.removeprefix(family.name), []).append(sample)
        for rows in series.values():
            counts = [(float(bucket.labels["le"]), bucket.value) for bucket in rows["_bucket"]]
            assert counts == sorted(counts), family.name
            assert counts[-1] == (float("inf"), rows["_count"][0].value), family.name
            assert rows["_sum"][0].value >= 0, family.name


def test_sizes_are_summaries(families):
    sizes = families["http_request_size_bytes"]
    assert sizes.type == "summary"
    assert {sample.name.removeprefix(sizes.name) for sample in sizes.samples} == {"_count", "_sum"}
