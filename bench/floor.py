"""The yardstick: the least that Flask, gunicorn and geventhttpclient can do for a call.

Checks a key, parses the request, names the upstream model, passes on what comes back.
No routing, no ledger, no log: what the gateway costs on top is its own doing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import orjson
from flask import Flask, Response, request
from geventhttpclient import HTTPClient

KEY = os.environ["BENCH_KEY"]
PATH = "/v1/chat/completions"
HEADERS = {"Authorization": "Bearer upstream", "Content-Type": "application/json"}

app = Flask(__name__)
client = HTTPClient(
    "127.0.0.1",
    int(os.environ["BENCH_UPSTREAM_PORT"]),
    concurrency=10_000,
    connection_timeout=30,
    network_timeout=60,
)


class Pieces:
    """The body as it arrives: geventhttpclient's own ``read`` waits for a full buffer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        answer = self._answer
        while not answer._body_buffer and not answer.message_complete:
            answer.feed(answer._sock.recv(65_536))
        if not answer._body_buffer:
            raise StopIteration
        piece = bytes(answer._body_buffer)
        answer._body_buffer.clear()
        return piece

    def close(self) -> None:
        self._answer.release()


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.post(PATH)
def chat() -> Response:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return Response(status=401)
    fields = orjson.loads(request.get_data())
    fields["model"] = "small"
    answer = client.post(PATH, orjson.dumps(fields), headers=HEADERS)
    if fields.get("stream"):
        return Response(Pieces(answer), mimetype="text/event-stream")
    body = orjson.loads(answer.read())
    return Response(orjson.dumps(body), mimetype="application/json")
