"""The blueprint ``router``: why a request goes where it goes, and what is left of the caps.

``dashboard.guard`` lets in whoever is logged in, and the unified key.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request

from freellmapi.api.responses import json_response
from freellmapi.api.schema import chat_request, parse_json
from freellmapi.core.errors import GatewayError
from freellmapi.router.happened import happened
from freellmapi.services import services

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
"""Stands in for a request of which only the model is given."""

bp = Blueprint("router", __name__, url_prefix="/api")


@bp.post("/route/explain")
def explain_route() -> Response:
    """What would become of a chat request now; with ``request_id``, what became of one.

    Nothing is sent, reserved or counted.
    """
    given = parse_json(request.get_data())
    request_id = given.get("request_id")
    if request_id is not None:
        return json_response(_what_happened(request_id))
    chat = chat_request({**HELLO, **given}, request.headers)
    caller = g.get("caller")
    token_id = caller.token_id if caller is not None else None
    return json_response(services().gateway.explain(chat, token_id))


@bp.get("/quota")
def quota() -> Response:
    """What is left of every cap; ``?provider=groq`` shows that one alone."""
    found = services().gateway.meter.read()
    wanted = request.args.get("provider")
    if wanted is None:
        return json_response(found)
    providers = [one for one in found.providers if one.provider == wanted]
    return json_response({"at": found.at, "today": found.today, "providers": providers})


def _what_happened(request_id: Any) -> object:
    parts = services()
    row = parts.request_log.find(request_id) if isinstance(request_id, str) else None
    if row is None:
        raise GatewayError(
            404,
            f"No request {str(request_id)[:100]!r} is in the log. "
            "Its id is the X-Request-Id of the answer.",
            code="request_not_found",
            param="request_id",
        )
    return happened(row, parts.configuration.snapshot)
