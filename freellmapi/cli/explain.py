"""``freellmapi explain``: who would be asked, in what order, and who not and why."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

import click
import orjson

from freellmapi.api.schema import chat_request, parse_json
from freellmapi.cli.commands import Command
from freellmapi.cli.explained import explained_text, happened_text
from freellmapi.cli.live import ask_server
from freellmapi.cli.session import Failed, Refused, Session
from freellmapi.core.errors import GatewayError
from freellmapi.router.happened import happened

_HELLO = b'{"messages": [{"role": "user", "content": "Hello"}]}'


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("--file", type=click.File("rb"), help="A request body, as clients send it.")
@click.option("--request-id", help="A past request: the X-Request-Id of its answer.")
@click.pass_obj
def explain(
    session: Session, model: str | None, file: BinaryIO | None, request_id: str | None
) -> None:
    """Show who would be asked for MODEL ('auto' by default), and why others would not.

    Nothing is sent. A running server is asked, since it alone knows who is benched;
    without one, limits are counted from the request log.
    """
    if request_id is not None:
        if model or file:
            raise Refused("--request-id stands alone: the log has the rest of that request.")
        found = _what_happened(session, request_id)
        session.show(found, happened_text(found))
        return
    try:
        given = _request(model, file.read() if file else _HELLO)
        found = _explained(session, given)
    except GatewayError as exc:
        raise Failed(exc.message) from exc
    session.show(found, explained_text(found))


def _request(model: str | None, body: bytes) -> dict[str, Any]:
    given = parse_json(body)
    return {**given, "model": model} if model else dict(given)


def _explained(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    chat = chat_request(given)
    found = ask_server(session, "POST", "/api/route/explain", given)
    if found is not None:
        return {"source": "server", **found}
    return {"source": "database", **as_json(session.services.gateway.explain(chat))}


def _what_happened(session: Session, request_id: str) -> dict[str, Any]:
    """From the log, which a running server writes to as well."""
    row = session.services.request_log.find(request_id)
    if row is None:
        raise Failed(f"No request {request_id!r} is in the log.")
    return as_json(happened(row, session.snapshot))


def as_json(value: object) -> dict[str, Any]:
    """The same JSON that the server gives, whatever is not finite being null."""
    found: dict[str, Any] = json.loads(orjson.dumps(value))
    return found
