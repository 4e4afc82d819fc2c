"""``freellmapi explain``: who would be asked for a model, in what order, and who not and why."""

from __future__ import annotations

from datetime import datetime
from typing import BinaryIO

import click

from freellmapi.api.schema import chat_request, parse_json
from freellmapi.cli.commands import Command
from freellmapi.cli.session import Failed, Session, table
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import GatewayError
from freellmapi.core.route import Candidate, Skipped

_HELLO = b'{"messages": [{"role": "user", "content": "Hello"}]}'


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("--file", type=click.File("rb"), help="A request body, as clients send it.")
@click.pass_obj
def explain(session: Session, model: str | None, file: BinaryIO | None) -> None:
    """Show who would be asked for MODEL ('auto' by default), and why others would not.

    Nothing is sent. Limits are counted from the request log; the failures that a running
    server remembers are its own.
    """
    try:
        chat = _request(model, file.read() if file else _HELLO)
        plan = session.services.gateway.plan(chat)
    except GatewayError as exc:
        raise Failed(exc.message) from exc
    candidates = tuple(plan.candidates)
    session.show(
        {
            "model": chat.model,
            "prompt_tokens": chat.prompt_tokens,
            "candidates": [{"model": c.ref, "key": c.key_id} for c in candidates],
            "skipped": [
                {"model": s.ref, "key": s.key_id, "reason": s.reason, "until": s.until}
                for s in plan.skipped
            ],
        },
        _text(candidates, plan.skipped),
    )


def _request(model: str | None, body: bytes) -> ChatRequest:
    given = parse_json(body)
    return chat_request({**given, "model": model} if model else given)


def _text(candidates: tuple[Candidate, ...], skipped: list[Skipped]) -> str:
    asked = [(place, c.ref, f"key {c.key_id}") for place, c in enumerate(candidates, 1)]
    left_out = [("-", s.ref, s.reason + _until(s.until)) for s in skipped]
    heading = "Nobody would be asked:" if not asked else "Asked in this order, left out with -:"
    return f"{heading}\n{table([*asked, *left_out])}" if asked or left_out else heading


def _until(at: float | None) -> str:
    if at is None:
        return ""
    return f" until {datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
