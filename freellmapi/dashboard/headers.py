"""What every answer for a browser carries, and its compression."""

from __future__ import annotations

import gzip

from flask import Flask, Response, request

from freellmapi.api.headers import FOR_BROWSERS
from freellmapi.services import services

_SMALLEST = 1_000
_LARGE = 50_000
"""Bytes from which compression takes about a millisecond, and is done off the hub."""
_LEVEL = 5
"""A page of 150 KB takes some 2 ms at this level, and is a tenth as large."""
_TYPES = ("text/html", "application/json", "text/csv")


def register(app: Flask) -> None:
    app.after_request(finish)


def finish(response: Response) -> Response:
    """Nothing on ``/v1``: its clients are programs, and its streams must not be held up."""
    is_page = request.path == "/v1/docs"
    if not is_page and (request.path == "/v1" or request.path.startswith("/v1/")):
        return response
    for name, value in FOR_BROWSERS.items():
        response.headers.setdefault(name, value)
    return _compressed(response)


def takes_gzip() -> bool:
    return request.accept_encodings.quality("gzip") > 0


def _compressed(response: Response) -> Response:
    if response.mimetype not in _TYPES or response.is_streamed or response.direct_passthrough:
        return response
    response.vary.add("Accept-Encoding")
    body = response.get_data()
    if not takes_gzip() or len(body) < _SMALLEST or response.content_encoding:
        return response
    response.set_data(_packed(body))
    response.content_encoding = "gzip"
    return response


def _packed(body: bytes) -> bytes:
    if len(body) < _LARGE:
        return gzip.compress(body, _LEVEL, mtime=0)
    return services().off_hub(lambda: gzip.compress(body, _LEVEL, mtime=0))
