"""Whatever a client asks, Google takes it: our requests against the strict fake."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest
from freellmapi.providers.gemini import GeminiWire
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_rules import Refused, check
from tests.providers.test_gemini_schema import NAMES, SCALARS, nodes

MODELS = [
    Model("google", id, id, family, max_output=65_536, tools=True, reasoning=True)
    for id, family in (
        ("gemini-3.8-flash", "gemini-3.8-flash"),
        ("gemini-3.5-flash-lite", "gemini-3.5-flash-lite"),
        ("gemini-flash-latest", "gemini-3.8-flash"),
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemma-4-31b-it", "gemma-4-31b"),
        ("gemma-3-27b-it", "gemma-3-27b"),
    )
]
GOOGLE = Provider(id="google", name="Google", base_url="http://x/v1beta", wire="gemini")

TEXTS = st.sampled_from(["", "Hi", '{"a": 1}', '{"a', "[1]"])
CONTENTS = st.one_of(
    st.none(),
    TEXTS,
    st.lists(
        st.one_of(
            TEXTS,
            st.builds(lambda t: {"type": "text", "text": t}, TEXTS),
            st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}),
        ),
        max_size=3,
    ),
)
IDS = st.sampled_from(["a", "b", "c", ""])
CALLS = st.builds(
    lambda id, name, arguments: {
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    IDS,
    st.sampled_from(["f", "get-time", "1x"]),
    TEXTS,
)
MESSAGES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["system", "developer"]), "content": CONTENTS}
        ),
        st.fixed_dictionaries({"role": st.just("user"), "content": CONTENTS}),
        st.fixed_dictionaries(
            {"role": st.just("assistant"), "content": CONTENTS},
            optional={"tool_calls": st.lists(CALLS, max_size=3)},
        ),
        st.fixed_dictionaries(
            {"role": st.just("tool"), "content": CONTENTS}, optional={"tool_call_id": IDS}
        ),
    ),
    min_size=1,
    max_size=8,
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(st.one_of(SCALARS, st.just({})), nodes, max_leaves=6)
TOOLS = st.lists(
    st.builds(
        lambda name, parameters: {
            "type": "function",
            "function": {"name": name, "parameters": parameters, "strict": True},
        },
        NAMES,
        SCHEMAS,
    ),
    max_size=3,
)
BODIES = st.fixed_dictionaries(
    {"messages": MESSAGES},
    optional={
        "tools": TOOLS,
        "tool_choice": st.sampled_from(["auto", "none", "required", None]),
        "max_tokens": st.sampled_from([1, 100, 5000, 10**7, None]),
        "temperature": st.floats(0, 2),
        "presence_penalty": st.floats(-2, 2),
        "stop": st.lists(st.sampled_from(["a", ""]), max_size=8),
        "seed": st.integers(),
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "high", "xhigh", 3]),
        "response_format": st.one_of(
            st.just({"type": "json_object"}),
            st.builds(lambda s: {"type": "json_schema", "json_schema": {"schema": s}}, SCHEMAS),
        ),
        "logit_bias": st.just({"1": 2}),
    },
)


@settings(max_examples=300, deadline=None)
@given(body=BODIES, model=st.sampled_from(MODELS))
def test_google_takes_every_request(body: dict[str, Any], model: Model) -> None:
    call = GeminiWire().call(ChatRequest(model="auto", body=body), GOOGLE, model)
    check(json.loads(call.body), model.id)


def test_the_fake_is_strict() -> None:
    """Proof that acceptance means something: one broken request of each sort is refused."""
    user = {"role": "user", "parts": [{"text": "a"}]}
    call = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
    answer = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
    broken: list[dict[str, Any]] = [
        {"contents": []},
        {"contents": [user], "max_tokens": 5},
        {"contents": [user, user]},
        {"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]},
        {"contents": [user, call]},
        {"contents": [user, call, answer]},
        {"contents": [user], "generationConfig": {"presencePenalty": 1}},
        {"contents": [user], "tools": [{"functionDeclarations": [
            {"name": "f", "parameters": {"type": "object", "properties": {}}}]}]},
        {"contents": [user], "generationConfig": {"responseSchema": {"type": "array"}}},
        {"contents": [user], "generationConfig": {
            "responseSchema": {"type": "string", "additionalProperties": False}}},
    ]  # fmt: skip
    for body in broken:
        with pytest.raises(Refused):
            check(body, "gemini-3.5-flash")


def asked(
    google: FakeGemini, wire: GeminiWire, body: dict[str, Any], model: Model
) -> dict[str, Any]:
    """The whole answer's message, over the socket."""
    call = wire.call(ChatRequest(model="auto", body=body), GOOGLE, model)
    status, data = posted(google, call.path, call.body)
    assert status == 200, data
    message: dict[str, Any] = wire.completion(data, {}, GOOGLE, model).body["choices"][0]["message"]
    return message


def streamed(
    google: FakeGemini, wire: GeminiWire, body: dict[str, Any], model: Model
) -> dict[str, Any]:
    """The same, put together from the chunks of a stream."""
    call = wire.call(ChatRequest(model="auto", body=body, stream=True), GOOGLE, model)
    status, data = posted(google, call.path, call.body)
    assert status == 200, data
    reader = wire.reader(GOOGLE, model)
    chunks = [json.loads(c.data) for c in reader.feed(data) + reader.close()]
    assert reader.ended and chunks[-1]["usage"]["completion_tokens"] == 5
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    return {
        "role": "assistant",
        "content": "".join(d.get("content", "") for d in deltas) or None,
        "tool_calls": [call for d in deltas for call in d.get("tool_calls", ())],
    }


def posted(google: FakeGemini, path: str, body: bytes) -> tuple[int, bytes]:
    address = urlsplit(google.base_url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        connection.request("POST", address.path + path, body, {"x-goog-api-key": google.key})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("ask", [asked, streamed], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.id)
def test_a_tool_conversation_over_several_turns(ask: Any, model: Model) -> None:
    """Parallel calls, their results out of order, a model that changes in mid-turn."""
    tools = [
        {"type": "function", "function": {"name": "get_time", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}},
        {"type": "function", "function": {"name": "get_date"}},
    ]  # fmt: skip
    wire = GeminiWire()
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Use a tool"}]
    body = {"messages": messages, "tools": tools}
    with FakeGemini() as google:
        for _ in range(2):
            message = ask(google, wire, body, model)
            calls = [{k: c[k] for k in ("id", "type", "function")} for c in message["tool_calls"]]
            assert [c["function"]["name"] for c in calls] == ["get_time", "get_date"]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            messages += [
                {"role": "tool", "tool_call_id": c["id"], "content": "1"} for c in reversed(calls)
            ]
            other = next(m for m in MODELS if m.family != model.family)
            for last in (model, other):
                assert ask(google, wire, body, last)["content"] == "Hello there."
            messages.append({"role": "assistant", "content": "Hello there."})
            messages.append({"role": "user", "content": "Another tool please"})
        assert google.refusals == []
