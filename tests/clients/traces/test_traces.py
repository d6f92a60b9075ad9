"""Spans as a collector receives them, over gRPC and over HTTP; the requests are sent by OpenTelemetry's own SDK."""

import concurrent.futures
import contextlib
import http.client
import http.server
import json
import queue
import threading
import time

import grpc
import pytest
from opentelemetry import propagate
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from rehearsal import free_port, server

FLAGS = "--mode echo --time-to-first-token 50ms --inter-token-latency 10ms --served-model-name my-model".split()
PATH = "/v1/traces"


class GrpcCollector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, received):
        self.received = received

    def Export(self, request, context):  # noqa: N802: gRPC's name
        self.received.put(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@contextlib.contextmanager
def grpc_collector():
    received = queue.Queue()
    collector = grpc.server(concurrent.futures.ThreadPoolExecutor())
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(GrpcCollector(received), collector)
    port = collector.add_insecure_port("127.0.0.1:0")
    collector.start()
    yield f"127.0.0.1:{port}", received
    collector.stop(None)


@contextlib.contextmanager
def http_collector():
    received = queue.Queue()

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802: http.server's name
            body = self.rfile.read(int(self.headers["content-length"]))
            assert (self.path, self.headers["content-type"]) == (PATH, "application/x-protobuf")
            received.put(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever).start()
    yield f"http://127.0.0.1:{collector.server_port}{PATH}", received
    collector.shutdown()


COLLECTORS = {"grpc": grpc_collector, "http/protobuf": http_collector}


@contextlib.contextmanager
def traced(protocol, *more):
    """A server whose spans are collected, and what gives the next of them."""
    with COLLECTORS[protocol]() as (endpoint, received):
        env = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with server(*FLAGS, "--otlp-traces-endpoint", endpoint, *more, env=env) as running:
            spans = []

            def next_span():
                while not spans:
                    for of_resource in received.get(timeout=30).resource_spans:
                        resource = attributes(of_resource.resource)
                        assert resource["vllm.instrumenting_module_name"] == "vllm.llm_engine"
                        assert resource["vllm.process_id"] == str(running.process.pid)
                        for of_scope in of_resource.scope_spans:
                            assert of_scope.scope.name == "vllm.tracing.otel"
                            spans.extend(of_scope.spans)
                return spans.pop(0)

            yield running, next_span


def attributes(of):
    def value(attribute):
        return getattr(attribute.value, attribute.value.WhichOneof("value"))

    return {attribute.key: value(attribute) for attribute in of.attributes}


def post(running, path, body, headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **dict(headers)})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


CHAT = {"messages": [{"role": "user", "content": "one two three four"}], "max_tokens": 4}


@pytest.mark.parametrize("protocol", COLLECTORS)
def test_a_request_is_a_span_of_its_clients_trace(protocol):
    with traced(protocol) as (running, next_span):
        began = time.time_ns()
        with TracerProvider().get_tracer("client").start_as_current_span("client") as span:
            headers = {}
            propagate.inject(headers)
            asked = CHAT | {"temperature": 0.5, "top_p": 0.25}
            _, answer = post(running, "/v1/chat/completions", asked, headers)
        found, context = next_span(), span.get_span_context()
        assert (found.name, found.kind) == ("llm_request", Span.SPAN_KIND_SERVER)
        assert found.trace_id == context.trace_id.to_bytes(16, "big")
        assert found.parent_span_id == context.span_id.to_bytes(8, "big")
        told = attributes(found)
        times = {name: told.pop(name) for name in list(told) if name.startswith("gen_ai.latency.")}
        assert told == {
            "gen_ai.usage.prompt_tokens": answer["usage"]["prompt_tokens"],
            "gen_ai.usage.completion_tokens": 4,
            "gen_ai.request.id": answer["id"],
            "gen_ai.request.top_p": 0.25,
            "gen_ai.request.max_tokens": 4,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.n": 1,
        }
        assert {name.removeprefix("gen_ai.latency.") for name in times} == {
            "time_to_first_token",
            "e2e",
            "time_in_queue",
            "time_in_model_prefill",
            "time_in_model_decode",
            "time_in_model_inference",
        }
        seconds = (found.end_time_unix_nano - found.start_time_unix_nano) / 1e9
        assert times["gen_ai.latency.e2e"] == pytest.approx(seconds, abs=1e-6)
        assert times["gen_ai.latency.time_in_model_decode"] == pytest.approx(0.03, abs=0.02)
        assert times["gen_ai.latency.time_to_first_token"] >= 0.05
        assert began - 1e9 < found.start_time_unix_nano < time.time_ns()


def test_vllms_defaults_ids_of_prompts_and_requests_without_a_trace():
    with traced("grpc") as (running, next_span):
        _, answer = post(running, "/v1/completions", {"prompt": ["a b", "c d e"], "max_tokens": 2, "temperature": 0})
        spans = sorted((next_span(), next_span()), key=lambda span: attributes(span)["gen_ai.request.id"])
        told = [attributes(span) for span in spans]
        assert [span["gen_ai.request.id"] for span in told] == [f"{answer['id']}-{prompt}" for prompt in (0, 1)]
        assert all("gen_ai.request.temperature" not in span and span["gen_ai.request.top_p"] == 1.0 for span in told)
        assert spans[0].trace_id != spans[1].trace_id and not spans[0].parent_span_id
        # A client that does not sample is asked for nothing.
        unsampled = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-00"}
        post(running, "/v1/chat/completions", CHAT, unsampled)
        post(running, "/v1/chat/completions", CHAT, {"traceparent": "nonsense"})
        assert not next_span().parent_span_id


def test_the_same_seed_gives_the_same_ids_and_the_last_spans_are_sent():
    def ids():
        with traced("http/protobuf", "--shutdown-timeout", "5") as (running, next_span):
            post(running, "/v1/chat/completions", CHAT)
            running.process.terminate()
            span = next_span()
            return span.trace_id, span.span_id

    assert ids() == ids()


def test_a_collector_that_is_not_there_delays_no_request(capfd):
    with server(*FLAGS, "--otlp-traces-endpoint", f"http://127.0.0.1:{free_port()}") as running:
        began = time.monotonic()
        for _ in range(3):
            assert post(running, "/v1/chat/completions", CHAT)[0] == 200
        assert time.monotonic() - began < 30
        running.process.terminate()
        assert running.process.wait(timeout=60) == 0
    assert "span" in capfd.readouterr().err.lower()


def test_a_trace_that_is_not_wanted_is_named_once(capfd):
    with server(*FLAGS) as running:
        for _ in range(2):
            post(running, "/v1/chat/completions", CHAT, {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"})
    words = "Received a request with trace context but tracing is disabled"
    assert capfd.readouterr().err.count(words) == 1
