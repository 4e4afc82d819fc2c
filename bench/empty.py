"""The least that Flask can do: take a body, and give one. Neither token nor provider."""

from __future__ import annotations

import orjson
from flask import Flask, Response, request

app = Flask("empty")


@app.post("/v1/chat/completions")
def view() -> Response:
    answer = {"bytes": len(request.get_data()), "choices": []}
    return Response(orjson.dumps(answer), mimetype="text/plain")
