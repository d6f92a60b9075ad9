"""A tokenizer is fetched from the model hub once, and found on this machine from then on."""

import contextlib
import http.server
import threading

from rehearsal import server
from tokenizers import Tokenizer, models, pre_tokenizers

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def tokenizer():
    words = {"[UNK]": 0, "one": 1, "two": 2}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str().encode()


class Hub(http.server.BaseHTTPRequestHandler):
    """As the hub answers: what part of the file was asked for, and which commit it is of."""

    files = {
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": b'{"chat_template": "{{ messages[0].content }} one one"}',
    }
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        content = self.files.get(self.path.removeprefix("/org/model/resolve/main/"))
        if content is None:
            return self.send_error(404)
        first, last = 0, len(content) - 1
        if asked := self.headers.get("Range", "").removeprefix("bytes="):
            start, end = asked.split("-")
            first, last = int(start), min(int(end or last), last)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("ETag", f'"{len(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        self.wfile.write(content[first : last + 1])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def hub():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def counts(subject):
    chat = {"messages": [{"role": "user", "content": "two three"}]}
    return [subject.post("/tokenize", body)["tokens"] for body in ({"prompt": "one two"}, chat)]


def test_a_tokenizer_is_fetched_once(tmp_path):
    flags = ["--tokenizer", "org/model", "--tokenizers-cache-dir", str(tmp_path)]
    with hub() as url, server(*flags, env={"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0"}) as subject:
        assert counts(subject) == [[1, 2], [2, 0, 1, 1]]
    assert any("tokenizer.json" in path for path in Hub.asked)
    Hub.asked.clear()
    with server(*flags) as subject:
        assert counts(subject) == [[1, 2], [2, 0, 1, 1]]
    assert Hub.asked == []


def test_without_the_hub_a_model_goes_without_its_tokenizer(tmp_path):
    flags = ["--tokenizers-cache-dir", str(tmp_path), "--served-model-name", "m"]
    environment = {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_OFFLINE": "0", "SIM_MODEL": "org/model"}
    with server(*flags, model=None, env=environment) as subject:
        assert subject.post("/tokenize", {"prompt": "one two three"})["count"] == 3
