"""Answers in the manner of a dialect: the same words, each provider's own envelope."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.answers import Reply
from tests.fakes.dialect import Speaks
from tests.fakes.wire import Connection, SeenRequest

TEXT = ("Hel", "lo the", "re.")
THOUGHT = ("Let me", " see.")
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
CREATED = 1_790_000_000
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of the model's."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """One answer: some text, or tool calls, said in a provider's manner."""

    speaks: Speaks
    model: str
    texts: Sequence[str] = TEXT
    calls: Sequence[Call] = ()
    finish: str = ""

    def play(self, conn: Connection, request: SeenRequest) -> None:
        if request.streamed:
            self._stream(conn, request)
        else:
            data = json.dumps(self.whole()).encode()
            conn.head(200, {"Content-Type": "application/json"}, len(data))
            conn.body(data)

    def whole(self) -> Json:
        """The ``chat.completion``, or what the provider takes for one."""
        speaks = self.speaks
        message: Json = {"role": "assistant", "content": "".join(self.texts)}
        if speaks.nulls:
            message |= {"refusal": None, "annotations": None, "audio": None, "function_call": None}
            message |= {"tool_calls": None, "reasoning_content": None}
        message |= self._thought()
        if self.calls:
            message["tool_calls"] = list(self._calls())
            if speaks.reasoning not in ("think", "parts"):
                message["content"] = None
        choice: Json = {"index": 0, "message": message, "finish_reason": self._finish()}
        body = self._envelope("chat.completion", [choice | dict(speaks.choice_extra)])
        return body | self._whole_usage()

    def _whole_usage(self) -> Json:
        if self.speaks.usage == "kudos":
            return {"usage": {"kudos": 12}}
        return {} if self.speaks.usage == "none" else {"usage": USAGE}

    def _thought(self) -> Json:
        """Reasoning as it stands in a whole message."""
        thought, text = "".join(THOUGHT), "".join(self.texts)
        place = self.speaks.reasoning
        if place == "think":
            return {"content": f"<think>\n{thought}\n</think>\n\n{text}"}
        if place == "parts":
            return {"content": [_thinking(thought), {"type": "text", "text": text}]}
        if place == "details":
            return {"reasoning": thought, "reasoning_details": [_detail(thought)]}
        return {place: thought} if place else {}

    def _calls(self) -> Iterator[Json]:
        for n, call in enumerate(self.calls):
            function = {"name": call.name, "arguments": call.arguments}
            given = {"type": "function", "function": function}
            id = self.speaks.call_ids.replace("{n}", str(n))
            yield {"id": id, **given} if id else given

    def _finish(self) -> str:
        return self.finish or ("tool_calls" if self.calls else self.speaks.finish)

    def _envelope(self, kind: str, choices: list[Json]) -> Json:
        model = self.speaks.model or self.model
        body = {"id": "gen-1", "object": kind, "created": CREATED, "model": model}
        return body | {"choices": choices} | dict(self.speaks.extra)

    def _stream(self, conn: Connection, request: SeenRequest) -> None:
        conn.head(200, {"Content-Type": "text/event-stream; charset=utf-8"}, None, chunked=True)
        end = b"\r\n\r\n" if self.speaks.crlf else b"\n\n"
        start = b"data:" if self.speaks.no_space else b"data: "
        asked = bool((request.fields.get("stream_options") or {}).get("include_usage"))
        if self.speaks.comment:
            conn.body(self.speaks.comment.encode() + end)
        for event in self.events(asked):
            conn.body(start + json.dumps(event).encode() + end)
        if not self.speaks.no_done:
            conn.body(start + b"[DONE]" + end)
        conn.end_body()

    def events(self, usage_asked: bool) -> Iterator[Json]:
        """The chunks of the stream."""
        if self.speaks.filter_first:
            yield self._envelope("", []) | {"id": "", "model": "", "prompt_filter_results": []}
        yield self._chunk({"role": "assistant", "content": ""})
        for delta in (*self._thought_deltas(), *self._text_deltas(), *self._call_deltas()):
            yield self._chunk(delta)
        yield self._last()
        if self.speaks.usage == "always":
            yield self._chunk({"content": ""}, self._finish()) | {"usage": USAGE | {"cost": 0}}
        elif self.speaks.usage == "openai" and usage_asked:
            yield self._envelope("chat.completion.chunk", []) | {"usage": USAGE}
        if self.speaks.repeats:
            yield self.whole()

    def _last(self) -> Json:
        chunk = self._chunk({}, self._finish())
        usage = self.speaks.usage
        if usage == "last":
            chunk["usage"] = USAGE
        elif usage == "choice":
            chunk["choices"][0]["usage"] = USAGE
        elif usage == "x_groq":
            chunk["x_groq"] = {"id": "req_01", "usage": USAGE}
        return chunk

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        if self.speaks.nulls:
            empty = {"content": None, "tool_calls": None, "function_call": None, "refusal": None}
            delta = empty | {"role": None, "reasoning_content": None} | delta
        choice: Json = {"index": 0, "delta": delta, "finish_reason": finish}
        if self.speaks.nulls:
            choice["logprobs"] = None
        return self._envelope("chat.completion.chunk", [choice])

    def _thought_deltas(self) -> Iterator[Json]:
        place = self.speaks.reasoning
        if place == "think":
            # The tag is split over chunks.
            yield from ({"content": t} for t in ("<thi", "nk>\n", *THOUGHT, "\n</th", "ink>\n\n"))
        elif place == "parts":
            yield from ({"content": [_thinking(thought)]} for thought in THOUGHT)
        elif place == "details":
            for thought in THOUGHT:
                yield {"content": "", "reasoning": thought, "reasoning_details": [_detail(thought)]}
        elif place:
            yield from ({place: thought} for thought in THOUGHT)

    def _text_deltas(self) -> Iterator[Json]:
        yield from ({"content": text} for text in self.texts)

    def _call_deltas(self) -> Iterator[Json]:
        for index, call in enumerate(self._calls()):
            if self.speaks.calls == "no_index":
                yield {"tool_calls": [call]}
            elif self.speaks.calls == "whole":
                yield {"content": "", "tool_calls": [{"index": index, **call}]}
            else:
                yield from _pieces(index, call)


def _pieces(index: int, call: Mapping[str, Any]) -> Iterator[Json]:
    arguments = call["function"]["arguments"]
    half = len(arguments) // 2
    function = {"name": call["function"]["name"], "arguments": ""}
    yield {"tool_calls": [{"index": index, **call, "function": function}]}
    for piece in (arguments[:half], arguments[half:]):
        yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _thinking(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _detail(text: str) -> Json:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


@dataclass(frozen=True, slots=True)
class CutShort:
    """Another reply, whose connection is reset after so many bytes of its body."""

    reply: Reply
    after: int

    def play(self, conn: Connection, request: SeenRequest) -> None:
        self.reply.play(_Scissors(conn, self.after), request)


class _Scissors(Connection):
    """A connection that cuts itself."""

    def __init__(self, conn: Connection, after: int) -> None:
        self.__dict__.update(conn.__dict__)
        self._left = after

    def body(self, data: bytes) -> None:
        super().body(data[: self._left])
        self._left -= len(data)
        if self._left <= 0:
            self.reset()
