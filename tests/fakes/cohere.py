"""A strict Cohere on a real socket: it refuses what Cohere refuses, and answers else.

    with FakeCohere() as cohere:
        ... cohere.base_url, cohere.key ...
        assert cohere.refusals == []

It calls tools when it must (``REQUIRED``), or when the user's last words hold "tool" and
tools are given: each once, in parallel. Else it says ``cohere.text`` in three pieces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.fakes.cohere_rules import Refused, check
from tests.fakes.gemini import fitting
from tests.fakes.provider import FakeProvider, Reply, SeenRequest, raw_body, status

USAGE = {
    "billed_units": {"input_tokens": 3, "output_tokens": 2},
    "tokens": {"input_tokens": 70, "output_tokens": 5},
}


class FakeCohere(FakeProvider):
    """The server; what it saw and refused may be read at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.key = "fake-cohere-key"
        self.text = ("Hel", "lo the", "re.")
        self.refusals: list[str] = []
        self.base_url = self.base_url.removesuffix("/v1") + "/v2"
        self.chooser = self._answer

    def __enter__(self) -> FakeCohere:
        return self

    def _answer(self, request: SeenRequest) -> Reply:
        if request.path != "/v2/chat":
            return status(404, {"id": "f", "message": "404 page not found"})
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return status(401, {"id": "f", "message": "invalid api token"})
        try:
            check(request.json)
        except Refused as refusal:
            self.refusals.append(str(refusal))
            return status(refusal.status, {"id": "f", "message": str(refusal)})
        calls = _calls(request.json)
        if request.json.get("stream"):
            events = _call_events(calls) if calls else _text_events(self.text)
            finish = "TOOL_CALL" if calls else "COMPLETE"
            return raw_body(_stream(events, finish), "text/event-stream", chunked=True)
        message: dict[str, Any] = {"role": "assistant"}
        if calls:
            message |= {"tool_plan": "I will look.", "tool_calls": calls}
        else:
            message["content"] = [{"type": "text", "text": "".join(self.text)}]
        finish = "TOOL_CALL" if calls else "COMPLETE"
        body = {"id": "f", "finish_reason": finish, "message": message, "usage": USAGE}
        return raw_body(json.dumps(body).encode())


def _calls(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    last = body["messages"][-1]
    asked = last["role"] == "user" and "tool" in str(last["content"])
    choice = body.get("tool_choice")
    if choice == "NONE" or not (asked or choice == "REQUIRED"):
        return []
    return [
        {
            "id": f"t{len(body['messages'])}_{number}",
            "type": "function",
            "function": {"name": tool["function"]["name"], "arguments": _arguments(tool)},
        }
        for number, tool in enumerate(body.get("tools", ()))
    ]


def _arguments(tool: Mapping[str, Any]) -> str:
    return json.dumps(fitting(tool["function"]["parameters"]), separators=(",", ":"))


def _event(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"type": kind}
    if index is not None:
        event["index"] = index
    return event | ({"delta": {"message": message}} if message else {})


def _text_events(texts: tuple[str, ...]) -> list[dict[str, Any]]:
    deltas = [_event("content-delta", 0, content={"text": text}) for text in texts]
    start = _event("content-start", 0, content={"type": "text", "text": ""})
    return [start, *deltas, _event("content-end", 0)]


def _call_events(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events = [_event("tool-plan-delta", tool_plan="I will look.")]
    for index, call in enumerate(calls):
        function = {**call["function"], "arguments": ""}
        start = {**call, "function": function}
        arguments = {"function": {"arguments": call["function"]["arguments"]}}
        events += [
            _event("tool-call-start", index, tool_calls=start),
            _event("tool-call-delta", index, tool_calls=arguments),
            _event("tool-call-end", index),
        ]
    return events


def _stream(events: list[dict[str, Any]], finish: str) -> bytes:
    start = {"id": "f", **_event("message-start", role="assistant", content=[], tool_calls=[])}
    end = {"type": "message-end", "delta": {"finish_reason": finish, "usage": USAGE}}
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in (start, *events, end)
    )
