"""``POST /v1/chat/completions``."""

from __future__ import annotations

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from freellmapi.api import render
from freellmapi.api.departure import Departure
from freellmapi.api.headers import ratelimit_headers, route_headers
from freellmapi.api.schema import chat_request, parse_json
from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest
from freellmapi.core.route import Outcome
from freellmapi.services import Services, services


def chat_completions() -> Response:
    """One answer, whole or streamed."""
    chat = chat_request(parse_json(_body()), request.headers)
    parts = services()
    cancel = Cancellation()
    departure = Departure(request.environ, cancel)
    try:
        outcome = parts.gateway.run(chat, g.caller, cancel)
    except BaseException:
        departure.close()
        raise
    headers = _headers(parts, outcome)
    response = _response(chat, outcome, departure)
    response.headers.extend(headers)
    return response


def _body() -> bytes:
    """The whole body. One of unstated length would else be cut silently at the limit."""
    length, limit = request.content_length, request.max_content_length
    if length is None:
        whole = request.get_data()
        if len(whole) == limit:
            raise RequestEntityTooLarge
        return whole
    if limit is not None and length > limit:
        raise RequestEntityTooLarge
    # Werkzeug's way reads in pieces of 64 KB: a tenth of all that a body of 1 MB costs.
    data: bytes = request.environ["wsgi.input"].read(length)
    if len(data) < length:
        raise ClientDisconnected
    return data


def _response(chat: ChatRequest, outcome: Outcome, departure: Departure) -> Response:
    if outcome.stream is not None:
        body = render.EventStream(outcome.stream, chat.include_usage, departure.close)
        return render.streamed(body)
    departure.close()
    assert outcome.completion is not None
    return render.json_response(outcome.completion.body)


def _headers(parts: Services, outcome: Outcome) -> list[tuple[str, str]]:
    assert outcome.served_by is not None
    pool = parts.gateway.headroom(outcome.served_by)
    return [*route_headers(outcome), *ratelimit_headers(pool, parts.clock.now())]


def register(bp: Blueprint) -> None:
    bp.add_url_rule("/chat/completions", view_func=chat_completions, methods=["POST"])
