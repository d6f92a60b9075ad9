"""Token ids, as the server's /tokenize tells them; no client has a method for it."""

import json
import urllib.request


def tokens(url, **body):
    request = urllib.request.Request(url + "/tokenize", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["tokens"]
