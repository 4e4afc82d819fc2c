"""The kinds of reply the fake provider can play; ``replies`` has the verbs that build them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tests.fakes.wire import Connection, Hangup, SeenRequest

MODEL = "fake-model"
USAGE = (5, 2)
Gate = threading.Event | None
Tokens = tuple[int, int]


class Reply(Protocol):
    """How one request is answered."""

    def play(self, conn: Connection, request: SeenRequest) -> None: ...


@dataclass(frozen=True, slots=True)
class Delta:
    """A ``delta`` of a streamed answer; merged with the others in a whole one."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes sent as they are, in the middle of a stream."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait: for a gate, or for so many seconds."""

    gate: Gate = None
    seconds: float = 0.0

    def hold(self, conn: Connection) -> None:
        if self.gate is not None:
            conn.wait_for(self.gate)
        elif self.seconds:
            conn.pause(self.seconds)


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is reset here."""


Step = Delta | Raw | Pause | Cut


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion in steps: sent as they are when streamed, else put together."""

    steps: tuple[Step, ...]
    finish: str | None = "stop"
    usage: Tokens | None = USAGE
    model: str = MODEL
    done: bool = True
    chunked: bool = True
    crlf: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, **headers: str) -> Answer:
        """The same with these headers; underscores in their names become dashes."""
        return replace(self, headers={n.replace("_", "-"): v for n, v in headers.items()})

    def play(self, conn: Connection, request: SeenRequest) -> None:
        if request.streamed:
            self._stream(conn)
        else:
            self._whole(conn)

    def _stream(self, conn: Connection) -> None:
        conn.head(200, {"Content-Type": "text/event-stream", **self.headers}, None, self.chunked)
        for step in self.steps:
            if isinstance(step, Delta):
                conn.body(self._chunk([self._choice(step.fields, None)]))
            elif isinstance(step, Raw):
                conn.body(step.data)
            elif isinstance(step, Pause):
                step.hold(conn)
            else:
                conn.reset()
        if self.finish is not None:
            conn.body(self._chunk([self._choice({}, self.finish)]))
        if self.usage is not None:
            conn.body(self._chunk([], usage=usage_of(self.usage)))
        if self.done:
            conn.body(self._event(b"[DONE]"))
        conn.end_body()

    def _choice(self, delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
        return {"index": 0, "delta": dict(delta), "finish_reason": finish}

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        body = self._envelope("chat.completion.chunk", choices) | more
        return self._event(json.dumps(body).encode())

    def _event(self, data: bytes) -> bytes:
        return b"data: " + data + (b"\r\n\r\n" if self.crlf else b"\n\n")

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        head = {"id": "chatcmpl-fake", "object": kind, "created": 1_790_000_000}
        return head | {"model": self.model, "choices": choices} | dict(self.extra)

    def _whole(self, conn: Connection) -> None:
        cut = Cut() in self.steps
        for step in self.steps:
            if isinstance(step, Pause):
                step.hold(conn)
        choice = {"index": 0, "message": self._message(), "finish_reason": self.finish}
        body = self._envelope("chat.completion", [choice])
        if self.usage is not None:
            body["usage"] = usage_of(self.usage)
        data = json.dumps(body).encode()
        conn.head(200, {"Content-Type": "application/json", **self.headers}, len(data))
        if cut:
            conn.body(data[: len(data) // 2])
            conn.reset()
        conn.body(data)

    def _message(self) -> dict[str, Any]:
        deltas = [step.fields for step in self.steps if isinstance(step, Delta)]
        message: dict[str, Any] = {"role": "assistant", "content": None}
        for delta in deltas:
            for name in delta.keys() & {"content", "reasoning_content"}:
                message[name] = (message.get(name) or "") + delta[name]
            for call in delta.get("tool_calls", ()):
                _merge_call(message.setdefault("tool_calls", []), call)
        if message.get("tool_calls") and not message["content"]:
            message["content"] = None
        return message


def _merge_call(calls: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
    if piece["index"] == len(calls):
        function = dict(piece["function"])
        calls.append({"id": piece["id"], "type": "function", "function": function})
    else:
        calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A whole response: status, headers, body."""

    code: int
    body: bytes
    headers: Mapping[str, str]
    chunked: bool | None = None
    """None states the length; True sends it chunked; False ends it by closing."""

    def play(self, conn: Connection, request: SeenRequest) -> None:
        length = len(self.body) if self.chunked is None else None
        conn.head(self.code, self.headers, length, bool(self.chunked))
        conn.body(self.body)
        conn.end_body(length_known=length is not None)


@dataclass(frozen=True, slots=True)
class Later:
    """Another reply after a silence; without one the connection is closed."""

    seconds: float
    reply: Reply | None

    def play(self, conn: Connection, request: SeenRequest) -> None:
        conn.pause(self.seconds)
        if self.reply is None:
            raise Hangup
        self.reply.play(conn, request)


@dataclass(frozen=True, slots=True)
class Reset:
    """A RST instead of an answer."""

    def play(self, conn: Connection, request: SeenRequest) -> None:
        conn.reset()


def usage_of(tokens: Tokens) -> dict[str, int]:
    """OpenAI's ``usage`` object of (prompt, completion) tokens."""
    prompt, completion = tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
