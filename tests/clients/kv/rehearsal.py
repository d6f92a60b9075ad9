"""A server process, and the shortest way to ask it something."""

import contextlib
import http.client
import json
import os
import queue
import socket
import subprocess
import threading

MODEL = "my-model"


def free_port(count=1):
    """A port that is free, and so are as many as are wanted from it on."""
    for _ in range(100):
        with contextlib.ExitStack() as held:
            listeners = [held.enter_context(socket.socket()) for _ in range(count)]
            listeners[0].bind(("127.0.0.1", 0))
            first = listeners[0].getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                for at in range(1, count):
                    listeners[at].bind(("127.0.0.1", first + at))
                return first
    raise AssertionError(f"there are no {count} free ports in a row")


class Server:
    """Keeps one connection per thread."""

    def __init__(self, process, port):
        self.process, self.port = process, port
        self.local = threading.local()

    def request(self, method, path, body=None):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.local.connection.connect()
            self.local.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {"Content-Type": "application/json"}
        self.local.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.local.connection.getresponse()
        return answer.status, answer.read()

    def post(self, path, body):
        status, answer = self.request("POST", path, body)
        assert status == 200, answer
        return json.loads(answer)

    def complete(self, prompt, **more):
        return self.post("/v1/completions", {"prompt": prompt, "max_tokens": 1, **more})

    def metric(self, name):
        _, page = self.request("GET", "/metrics")
        rows = [line for line in page.decode().splitlines() if line.startswith((name + "{", name + " "))]
        assert len(rows) == 1, (name, rows)
        return float(rows[0].rsplit(" ", 1)[1])


@contextlib.contextmanager
def server(*args, model=MODEL, env=None, ports=1):
    """A server on a port that the system picks, until the block ends."""
    command = [os.environ["REHEARSAL"], "--host", "127.0.0.1", "--port", "0", "--seed", "1", *args]
    command += ["--model", model] if model else []
    # A connection may be idle between two requests of a test for longer than vLLM keeps it.
    keep_alive = {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "600"}
    environment = {**os.environ, **keep_alive, "HF_HUB_OFFLINE": "1", "POD_IP": "10.0.0.7", **(env or {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        servers = []
        for _ in range(ports):
            line = process.stdout.readline()
            assert line.startswith("listening on "), line
            servers.append(Server(process, int(line.rsplit(":", 1)[1])))
        yield servers if ports > 1 else servers[0]
    finally:
        process.terminate()
        process.wait(timeout=30)


def in_threads(count, work):
    """Runs `work(number)` in threads, and raises what any of them raised."""
    results = queue.Queue()

    def run(number):
        try:
            results.put((number, work(number), None))
        except BaseException as error:  # noqa: BLE001: handed on below
            results.put((number, None, error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = sorted(results.queue, key=lambda result: result[0])
    for _, _, error in done:
        if error is not None:
            raise error
    return [result for _, result, _ in done]
