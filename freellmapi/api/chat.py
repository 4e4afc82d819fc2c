"""``POST /v1/chat/completions``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from freellmapi.api import render
from freellmapi.api.departure import Departure
from freellmapi.api.headers import ratelimit_headers, route_headers
from freellmapi.api.render import Reply
from freellmapi.api.schema import chat_request, parse_json
from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import GatewayError
from freellmapi.core.route import Outcome
from freellmapi.router.entrance import Visit
from freellmapi.router.record import Caller
from freellmapi.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_BODY = 25 * 1024 * 1024
"""Bytes that a body may have, and that one of unstated length is taken for."""
TOO_LARGE = f"The request body is larger than {MAX_BODY // 2**20} MB."
_OPTIONS = {
    "HTTP_X_SESSION_ID": "X-Session-Id",
    "HTTP_X_MAX_WAIT": "X-Max-Wait",
    "HTTP_X_STREAM_RECOVERY": "X-Stream-Recovery",
}
"""Headers that say how a request is to be served, as WSGI names them."""


def serve(parts: Services, environ: WSGIEnvironment, caller: Caller) -> Reply:
    """One answer, whole or streamed; else ``GatewayError``."""
    length = _length(environ)
    visit = parts.entrance.enter(caller.token_id, MAX_BODY if length is None else length)
    try:
        chat = _chat(parts, environ, length, visit.is_large)
        return _answer(parts, environ, caller, chat, visit)
    except BaseException:
        visit.leave()
        raise


def _answer(
    parts: Services, environ: WSGIEnvironment, caller: Caller, chat: ChatRequest, visit: Visit
) -> Reply:
    cancel = Cancellation()
    departure = Departure(environ, cancel)
    try:
        outcome = parts.gateway.run(chat, caller, cancel)
    except BaseException:
        departure.close()
        raise
    reply = _reply(chat, outcome, departure, visit)
    reply.headers.extend(_headers(parts, outcome))
    return reply


def _chat(
    parts: Services, environ: WSGIEnvironment, length: int | None, is_large: bool
) -> ChatRequest:
    """What the body asks for. Others go on while a large one is read."""
    options = {name: environ[key] for key, name in _OPTIONS.items() if key in environ}
    data = _body(environ, length)
    if not is_large:
        return chat_request(parse_json(data), options)
    return parts.off_hub(lambda: chat_request(parse_json(data), options))


def _length(environ: Mapping[str, str]) -> int | None:
    """The stated length of the body; None for one in chunks, whose end alone is told."""
    stated = environ.get("CONTENT_LENGTH")
    if stated:
        return int(stated)
    return None if environ.get("HTTP_TRANSFER_ENCODING") else 0


def _body(environ: WSGIEnvironment, length: int | None) -> bytes:
    """The whole body. Werkzeug's way reads in pieces of 64 KB: a tenth of what 1 MB costs."""
    if length is not None and length > MAX_BODY:
        raise _too_large()
    data: bytes = environ["wsgi.input"].read(MAX_BODY + 1 if length is None else length)
    if length is None and len(data) > MAX_BODY:
        raise _too_large()
    if length is not None and len(data) < length:
        raise GatewayError(
            400, "The request body ended before its stated length.", code="bad_request"
        )
    return data


def _too_large() -> GatewayError:
    return GatewayError(413, TOO_LARGE, code="request_entity_too_large")


def _reply(chat: ChatRequest, outcome: Outcome, departure: Departure, visit: Visit) -> Reply:
    if outcome.stream is not None:

        def over() -> None:
            departure.close()
            visit.leave()

        return render.streamed(render.EventStream(outcome.stream, chat.include_usage, over))
    departure.close()
    visit.leave()
    assert outcome.completion is not None
    return render.whole(outcome.completion.body)


def _headers(parts: Services, outcome: Outcome) -> list[tuple[str, str]]:
    assert outcome.served_by is not None
    pool = parts.gateway.headroom(outcome.served_by)
    return [*route_headers(outcome), *ratelimit_headers(pool, parts.clock.now())]
