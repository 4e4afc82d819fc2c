"""The application as it is served, which also tells what its worker has loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from freellmapi.wsgi import app as served

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """``/loaded`` is a module's name a line."""
    if environ["PATH_INFO"] != "/loaded":
        return served(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join(sys.modules).encode()]
