"""A small WSGI application, for tests of how gunicorn is run rather than of what it serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from freellmapi.core.clock import SystemClock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CHUNKS = 4


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Two bytes at once, or on ``/slow`` a chunk every quarter of a second."""
    is_slow = environ["PATH_INFO"] == "/slow"
    start_response("200 OK", [] if is_slow else [("Content-Length", "2")])
    return _slowly() if is_slow else iter([b"ok"])


def _slowly() -> Iterator[bytes]:
    for _ in range(CHUNKS):
        yield b"x"
        SystemClock().sleep(0.25)
