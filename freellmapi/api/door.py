"""The door, plain WSGI: it answers what programs ask for most, and leaves the rest to Flask.

Flask's context, routing, hooks and response were 600,000 of the 3,000,000 instructions of a small
request; what is needed of them here is a tenth of that. And Flask, the dashboard and all that they
import take 11 MiB and a quarter of the start: they are loaded when somebody first asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from freellmapi.api import auth, chat, health, models, origin
from freellmapi.api.headers import FOR_BROWSERS
from freellmapi.api.render import Reply, refusal, unexpected
from freellmapi.core.errors import GatewayError
from freellmapi.router.record import Caller
from freellmapi.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Asked = tuple[str, str]
"""Method and path."""

FOR_CLIENTS: Mapping[Asked, Callable[[Services, WSGIEnvironment, Caller], Reply]] = {
    ("POST", "/v1/chat/completions"): chat.serve,
    ("GET", "/v1/models"): lambda parts, _environ, _caller: models.list_models(parts),
}
OPEN: Mapping[Asked, Callable[[Services], Reply]] = {
    ("GET", "/healthz"): health.healthz,
    ("GET", "/readyz"): health.readyz,
}
"""For whoever watches over the server, every few seconds as a rule."""


class Door:
    """In front of ``others``, which gives the application for all other requests."""

    def __init__(
        self, others: Callable[[], WSGIApplication], parts: Services, origins: tuple[str, ...]
    ) -> None:
        self._others = others
        self._parts = parts
        self._origins = origins

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked, request_id = (environ["REQUEST_METHOD"], environ["PATH_INFO"]), self._parts.new_id()
        try:
            if asked in FOR_CLIENTS:
                reply = self._for_client(asked, environ, request_id)
            elif asked in OPEN:
                reply = OPEN[asked](self._parts)
                reply.headers += FOR_BROWSERS.items()
            else:
                app = self._others()
                return app(environ, start_response)
        except Exception as exc:  # noqa: BLE001
            # The outermost edge, as Flask's own: whatever it is, it is logged and answered.
            reply = refusal(unexpected(exc, request_id))
        reply.headers.append(("X-Request-Id", request_id))
        start_response(reply.line, reply.headers)
        return reply.body

    def _for_client(self, asked: Asked, environ: WSGIEnvironment, request_id: str) -> Reply:
        parts = self._parts
        try:
            caller = auth.caller(parts, request_id, auth.token_in(environ))
            reply = FOR_CLIENTS[asked](parts, environ, caller)
        except GatewayError as exc:
            reply = refusal(exc)
        except Exception as exc:  # noqa: BLE001
            # Not left to the edge: pages of other origins are to read this too.
            reply = refusal(unexpected(exc, request_id))
        parts.gateway.traffic.answered(reply.status)
        reply.headers += origin.headers(self._origins, environ.get("HTTP_ORIGIN"))
        return reply
