"""Pages of other origins that talk to ``/v1``: what a browser wants to hear of it.

``/v1`` knows its callers by a token alone and never by a cookie, so a page can do nothing
there that it could not do without a browser. Nothing else on this server is opened so.
"""

from __future__ import annotations

import re

from flask import Flask, Response, request

from freellmapi.api import origin
from freellmapi.services import services

_REMEMBERED = "7200"
"""Seconds for which a browser need not ask again; some believe no more than that."""
_HEADERS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}")


def register(app: Flask, origins: tuple[str, ...]) -> None:
    """``origins`` are those whose pages may: ``*`` for all, nothing for none."""

    def preflight() -> Response | None:
        """A browser asks before the real request, and sends no token with that."""
        if request.method != "OPTIONS" or not _is_api():
            return None
        response = app.make_default_options_response()
        response.status_code = 204
        return response

    def finish(response: Response) -> Response:
        if not _is_api():
            return response
        services().gateway.traffic.answered(response.status_code)
        opened = origin.headers(origins, request.headers.get("Origin"))
        response.headers.extend(opened)
        if request.method == "OPTIONS":
            _tell_more(response)
        return response

    app.before_request(preflight)
    app.after_request(finish)


def _is_api() -> bool:
    return request.path.startswith("/v1/")


def _tell_more(response: Response) -> None:
    """Of what may be asked for, to a browser that asks before."""
    if "Access-Control-Allow-Origin" not in response.headers:
        return
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response.headers["Access-Control-Max-Age"] = _REMEMBERED
    # "*" would not stand for Authorization.
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    if _HEADERS.fullmatch(wanted):
        response.headers["Access-Control-Allow-Headers"] = wanted
        response.vary.add("Access-Control-Request-Headers")
