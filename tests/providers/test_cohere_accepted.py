"""Whatever a client asks, Cohere takes it: our requests against the strict fake."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.cohere import CohereWire
from tests.fakes.cohere import FakeCohere
from tests.fakes.cohere_rules import Refused, check
from tests.providers.test_gemini_accepted import BODIES

COHERE = load_catalog().providers["cohere"]
MODELS = [m for m in load_catalog().models if m.provider == "cohere"]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.id)


def sent(model: Model, body: dict[str, Any], stream: bool = False) -> dict[str, Any]:
    """What Cohere gets, checked as Cohere would."""
    call = CohereWire().call(ChatRequest("auto", body, stream=stream), COHERE, model)
    made: dict[str, Any] = json.loads(call.body)
    check(made)
    assert call.path == "/chat"
    return made


@settings(max_examples=300, deadline=None)
@given(body=BODIES, model=st.sampled_from(MODELS))
def test_cohere_takes_every_request(body: dict[str, Any], model: Model) -> None:
    try:
        sent(model, body)
    except UpstreamError as error:
        assert error.kind is ErrorKind.REQUEST_REFUSED
        users = [m["content"] for m in body["messages"] if m["role"] == "user"]
        parts = [p for c in users for p in (c if isinstance(c, list) else [c])]
        assert not any(p.get("text", "image") if isinstance(p, dict) else p for p in parts)


USER = {"role": "user", "content": "Hi"}
F = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("no messages", {"messages": []}),
    ("an unknown field", {"top_p": 0.5}),
    ("a wrong role", {"messages": [{"role": "developer", "content": "x"}]}),
    ("an empty message", {"messages": [{"role": "user", "content": ""}]}),
    ("a call without a result", {"messages": [{"role": "assistant", "tool_calls": [F]}]}),
    ("a stray result", {"messages": [{"role": "tool", "tool_call_id": "a", "content": "x"}]}),
    ("a temperature", {"temperature": 1.5}),
    ("stops", {"stop_sequences": ["a"] * 6}),
    ("a bad name", {"tools": [{"type": "function", "function": {
        "name": "a-b", "parameters": {"type": "object"}}}]}),
    ("a form", {"response_format": {"type": "json_schema"}}),
    ("a schema", {"response_format": {"type": "json_object", "json_schema": {
        "type": "object", "properties": {}}}}),
    ("a choice without tools", {"tool_choice": "REQUIRED"}),
]  # fmt: skip


@pytest.mark.parametrize("broken", [b[1] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_the_fake_is_strict(broken: dict[str, Any]) -> None:
    good = {"model": "command-a-03-2025", "messages": [USER]}
    check(good)
    with pytest.raises((Refused, KeyError)):
        check({**good, **broken})


def exchanged(cohere: FakeCohere, body: dict[str, Any], model: Model, stream: bool) -> Any:
    """The answer's message, over the socket; of a stream put together."""
    wire = CohereWire()
    names = frozenset(t["function"]["name"] for t in body.get("tools", ()))
    call = wire.call(ChatRequest("auto", body, stream=stream), COHERE, model)
    address = urlsplit(cohere.base_url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {cohere.key}"}
        connection.request("POST", address.path + call.path, call.body, headers)
        response = connection.getresponse()
        data = response.read()
        assert response.status == 200, data
    finally:
        connection.close()
    if not stream:
        return wire.completion(data, {}, COHERE, model, names).body["choices"][0]["message"]
    reader = wire.reader(COHERE, model, names)
    chunks = [json.loads(c.data) for c in reader.feed(data) + reader.close()]
    assert reader.ended
    assert chunks[-1]["usage"]["completion_tokens"] == 5
    return joined([c["choices"][0]["delta"] for c in chunks if c["choices"]])


def joined(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    calls: list[dict[str, Any]] = []
    for call in (call for delta in deltas for call in delta.get("tool_calls", ())):
        if "id" in call:
            calls.append({name: call[name] for name in ("id", "type", "function")})
        else:
            calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    text = "".join(d.get("content") or "" for d in deltas)
    return {"content": text or None, "tool_calls": calls}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@each_model
def test_a_tool_conversation_over_several_turns(model: Model, stream: bool) -> None:
    """Parallel calls, a name that Cohere does not take, results out of order."""
    tools = [
        {"type": "function", "function": {"name": "get-time", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}},
            "additionalProperties": False}, "strict": True}},
        {"type": "function", "function": {"name": "get_date"}},
    ]  # fmt: skip
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Use a tool"}]
    body = {"messages": messages, "tools": tools, "user": "me", "n": 1}
    with FakeCohere() as cohere:
        for _ in range(2):
            calls = exchanged(cohere, body, model, stream)["tool_calls"]
            assert [c["function"]["name"] for c in calls] == ["get-time", "get_date"]
            assert json.loads(calls[0]["function"]["arguments"]) == {"city": "Oslo"}
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            messages += [
                {"role": "tool", "tool_call_id": c["id"], "content": "1"} for c in reversed(calls)
            ]
            assert exchanged(cohere, body, model, stream)["content"] == "Hello there."
            messages.append({"role": "assistant", "content": "Hello there."})
            messages.append({"role": "user", "content": "Another tool please"})
        assert cohere.refusals == []
