"""The way of chat requests past Flask: ``POST /v1/chat/completions`` as plain WSGI.

Flask's context, routing, hooks and response, which serve all other addresses, were 600,000 of
the 3,000,000 instructions of a small request; what is needed of them here is a tenth of that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from freellmapi.api import auth, chat, cors, errors
from freellmapi.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/v1/chat/completions"


class Door:
    """Answers chat requests itself and leaves all others to ``app``."""

    def __init__(self, app: WSGIApplication, parts: Services, origins: tuple[str, ...]) -> None:
        self._app = app
        self._parts = parts
        self._origins = origins

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "POST":
            return self._app(environ, start_response)
        parts, request_id = self._parts, self._parts.new_id()
        more = [("X-Request-Id", request_id)]
        more += cors.headers(self._origins, environ.get("HTTP_ORIGIN"))
        try:
            caller = auth.caller(parts, request_id, auth.token_in(environ))
            reply = chat.serve(parts, environ, caller)
        except Exception as exc:  # noqa: BLE001
            # The outermost edge, as Flask's own: whatever it is, it is logged and answered.
            response = errors.response(exc, PATH, "POST", request_id)
            response.headers.extend(more)
            parts.gateway.traffic.answered(response.status_code)
            return response(environ, start_response)
        parts.gateway.traffic.answered(200)
        start_response("200 OK", reply.headers + more)
        return reply.body
