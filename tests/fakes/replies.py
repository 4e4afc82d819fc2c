"""What the fake provider can answer: verbs that build replies, so a test reads as a story."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.answers import (
    MODEL,
    USAGE,
    Answer,
    Cut,
    Delta,
    Fixed,
    Gate,
    Later,
    Pause,
    Raw,
    Reply,
    Reset,
    Step,
    Tokens,
)

ROLE = Delta({"role": "assistant", "content": ""})


def _texts(texts: Sequence[str], role: bool = True) -> list[Step]:
    deltas: list[Step] = [Delta({"content": text}) for text in texts]
    return [ROLE, *deltas] if role else deltas


def says(text: str, usage: Tokens | None = USAGE, model: str = MODEL, **extra: Any) -> Answer:
    """The whole text; word by word when the request asks for a stream.

    ``extra`` are more fields of the body; ``finish`` among them is the finish reason.
    """
    finish = extra.pop("finish", "stop")
    words = re.findall(r"\S+\s*|\s+", text)
    return Answer(tuple(_texts(words)), usage=usage, model=model, finish=finish, extra=extra)


def streams(
    *texts: str,
    cut: int | None = None,
    no_done: bool = False,
    finish: str | None = "stop",
    usage: Tokens | None = USAGE,
    chunked: bool = True,
    raw: bytes | Sequence[bytes] | None = None,
    crlf: bool = False,
    role: bool = True,
    model: str = MODEL,
) -> Answer:
    """One chunk a text (joined when the request asks for no stream).

    ``cut``: a RST after so many texts. ``chunked=False``: no length, ended by closing.
    ``raw``: the body itself, instead of texts, finish, usage and ``[DONE]``.
    """
    if raw is not None:
        parts = [raw] if isinstance(raw, bytes) else raw
        bare: list[Step] = [Raw(part) for part in parts]
        steps = [*bare, Cut()] if cut is not None else bare
        return Answer(tuple(steps), None, None, done=False, chunked=chunked)
    steps = _texts(texts, role) if cut is None else [*_texts(texts[:cut], role), Cut()]
    return Answer(tuple(steps), finish, usage, model, not no_done, chunked, crlf)


def drips(
    *texts: str,
    gate: threading.Event | Sequence[Gate] | None = None,
    interval: float = 0.0,
    delay: float = 0.0,
    usage: Tokens | None = USAGE,
) -> Answer:
    """Texts held back, so that a test can prove that the first arrives before the second exists.

    ``gate``: one event holds back all but the first text; a sequence holds one for each
    text (None: not held). ``interval``: seconds between texts; ``delay``: before the first.
    """
    gates: list[Gate]
    if isinstance(gate, threading.Event):
        gates = [None, *(gate for _ in texts[1:])]
    else:
        gates = list(gate or ()) + [None] * len(texts)
    steps: list[Step] = [ROLE, Pause(seconds=delay)]
    for index, text in enumerate(texts):
        wait = Pause(gates[index], 0.0 if index == 0 else interval)
        steps += [wait, Delta({"content": text})]
    return Answer(tuple(steps), usage=usage)


def stalls(*texts: str, after: int = 1, seconds: float = 60.0) -> Answer:
    """Streams ``after`` texts, is silent for ``seconds``, then goes on."""
    steps = [*_texts(texts[:after]), Pause(seconds=seconds), *_texts(texts[after:], role=False)]
    return Answer(tuple(steps))


def errors_in_band(
    payload: Mapping[str, Any], after: int = 0, texts: Sequence[str] | None = None
) -> Answer:
    """A 200 stream that turns into an error event after ``after`` texts, and ends there.

    ``payload`` is the event's JSON, e.g. ``{"error": {"message": "overloaded"}}``.
    """
    given = texts if texts is not None else [f"word{n} " for n in range(after)]
    event = b"data: " + json.dumps(payload).encode() + b"\n\n"
    steps = [*_texts(given[:after], role=after > 0), Raw(event)]
    return Answer(tuple(steps), None, None, done=False)


def calls_tool(
    name: str,
    arguments: Mapping[str, Any] | str,
    *more: tuple[str, Mapping[str, Any] | str],
    text: str = "",
    usage: Tokens | None = USAGE,
) -> Answer:
    """One tool call (and ``more`` parallel ones), ids ``call_1``...; arguments in two pieces."""
    steps: list[Step] = [Delta({"role": "assistant", "content": text})]
    for index, (tool, given) in enumerate([(name, arguments), *more]):
        whole = given if isinstance(given, str) else json.dumps(given)
        half = len(whole) // 2
        call = {"index": index, "id": f"call_{index + 1}", "type": "function"}
        first = {"function": {"name": tool, "arguments": whole[:half]}}
        rest = {"index": index, "function": {"arguments": whole[half:]}}
        steps += [Delta({"tool_calls": [call | first]}), Delta({"tool_calls": [rest]})]
    return Answer(tuple(steps), finish="tool_calls", usage=usage)


def status(code: int, body: Mapping[str, Any] | bytes | str | None = None, **headers: str) -> Fixed:
    """Any status; underscores in header names become dashes. No body: an OpenAI error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes | str):
        data, kind = body if isinstance(body, bytes) else body.encode(), "text/plain"
    else:
        error = {"message": f"fake {code}", "type": "fake_error", "param": None, "code": None}
        data, kind = json.dumps(body if body is not None else {"error": error}).encode(), ""
    given = {name.lower() for name in named}
    if "content-type" not in given:
        named["Content-Type"] = kind or "application/json"
    return Fixed(code, data, named)


def raw_body(
    data: bytes,
    content_type: str = "application/json",
    code: int = 200,
    chunked: bool | None = None,
    **headers: str,
) -> Fixed:
    """These bytes, whether streamed or not was asked."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fixed(code, data, {"Content-Type": content_type, **named}, chunked)


def hangs(seconds: float = 60.0) -> Later:
    """Accepts, says nothing for so long, then closes; ends early when the client goes."""
    return Later(seconds, None)


def later(seconds: float, reply: Reply) -> Later:
    """The reply after a silence before its headers."""
    return Later(seconds, reply)


def resets() -> Reset:
    """A RST before any header."""
    return Reset()


VERBS = {
    verb.__name__: verb
    for verb in (says, streams, drips, stalls, errors_in_band, calls_tool, status, hangs, resets)
}
