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
from freellmapi.router.entrance import Visit
from freellmapi.services import Services, services

MAX_BODY = 25 * 1024 * 1024
"""Bytes that a body of unstated length is taken for."""


def chat_completions() -> Response:
    """One answer, whole or streamed."""
    parts = services()
    length = request.content_length
    visit = parts.entrance.enter(g.caller.token_id, MAX_BODY if length is None else length)
    try:
        return _answer(parts, _chat(parts, visit.is_large), visit)
    except BaseException:
        visit.leave()
        raise


def _answer(parts: Services, chat: ChatRequest, visit: Visit) -> Response:
    cancel = Cancellation()
    departure = Departure(request.environ, cancel)
    try:
        outcome = parts.gateway.run(chat, g.caller, cancel)
    except BaseException:
        departure.close()
        raise
    headers = _headers(parts, outcome)
    response = _response(chat, outcome, departure, visit)
    response.headers.extend(headers)
    return response


def _chat(parts: Services, is_large: bool) -> ChatRequest:
    """What the body asks for. Others go on while a large one is read."""
    headers, data = request.headers, _body()
    if not is_large:
        return chat_request(parse_json(data), headers)
    return parts.off_hub(lambda: chat_request(parse_json(data), headers))


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


def _response(chat: ChatRequest, outcome: Outcome, departure: Departure, visit: Visit) -> Response:
    if outcome.stream is not None:

        def over() -> None:
            departure.close()
            visit.leave()

        return render.streamed(render.EventStream(outcome.stream, chat.include_usage, over))
    departure.close()
    visit.leave()
    assert outcome.completion is not None
    return render.json_response(outcome.completion.body)


def _headers(parts: Services, outcome: Outcome) -> list[tuple[str, str]]:
    assert outcome.served_by is not None
    pool = parts.gateway.headroom(outcome.served_by)
    return [*route_headers(outcome), *ratelimit_headers(pool, parts.clock.now())]


def register(bp: Blueprint) -> None:
    bp.add_url_rule("/chat/completions", view_func=chat_completions, methods=["POST"])
