"""Answers, whole and streamed, as the official client gets them from a running server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
import requests

from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import (
    FakeProvider,
    calls_tool,
    drips,
    errors_in_band,
    says,
)

pytestmark = pytest.mark.e2e

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeProvider, Server]]:
    with FakeProvider() as fake:
        text = config({"alpha": fake.base_url}, ping_interval=0.2, stream_recovery="error")
        with Server(tmp_path_factory.mktemp("answers"), text) as server:
            yield fake, server


@pytest.fixture
def fake(running: tuple[FakeProvider, Server]) -> FakeProvider:
    found = running[0]
    found.script.clear()
    found.requests.clear()
    return found


@pytest.fixture
def server(running: tuple[FakeProvider, Server]) -> Server:
    return running[1]


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with server.client() as client:
        yield client


def test_a_whole_answer_is_a_typed_completion(fake: FakeProvider, client: openai.OpenAI) -> None:
    fake.script = [says("hello there", usage=(7, 3))]
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    answer = raw.parse()
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content == "hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)
    assert raw.headers["X-Routed-Via"] == "alpha/m"
    assert "X-Fallback-Attempts" not in raw.headers
    assert raw.headers["X-Request-Id"].startswith("req_")
    assert fake.requests[0].json["model"] == "m"


@pytest.mark.parametrize("usage_wanted", [True, False], ids=["with usage", "without usage"])
def test_a_streamed_answer_is_typed_chunks(
    fake: FakeProvider, client: openai.OpenAI, usage_wanted: bool
) -> None:
    fake.script = [says("one two three", usage=(7, 3))]
    options: Any = {"stream_options": {"include_usage": True}} if usage_wanted else {}
    with client.chat.completions.create(
        model="auto", messages=HELLO, stream=True, **options
    ) as stream:
        chunks = list(stream)
    spoken = [chunk for chunk in chunks if chunk.choices]
    assert spoken[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in spoken) == "one two three"
    assert [c.choices[0].finish_reason for c in spoken if c.choices[0].finish_reason] == ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [u.completion_tokens for u in usages] == ([3] if usage_wanted else [])


def test_done_comes_last(fake: FakeProvider, server: Server) -> None:
    fake.script = [says("hi")]
    with server.streaming() as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["X-Routed-Via"] == "alpha/m"
        assert response.content.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until closed"])
def test_the_first_token_arrives_before_the_second_exists(
    fake: FakeProvider, client: openai.OpenAI, chunked: bool
) -> None:
    gate = threading.Event()
    fake.script = [replace(drips("first", "second", gate=gate), chunked=chunked)]
    try:
        with client.chat.completions.create(model="auto", messages=HELLO, stream=True) as stream:
            texts = (c.choices[0].delta.content for c in stream if c.choices)
            assert next(text for text in texts if text) == "first"
            gate.set()
            assert next(text for text in texts if text) == "second"
            assert not any(texts)
    finally:
        gate.set()


def test_silence_is_filled_with_pings(fake: FakeProvider, server: Server) -> None:
    gate = threading.Event()
    fake.script = [drips("first", "second", gate=gate)]
    try:
        with server.streaming() as response:
            seen = b""
            for piece in response.iter_content(None):
                seen += piece
                if seen.count(b": ping\n\n") >= 2:
                    gate.set()
    finally:
        gate.set()
    assert seen.index(b"first") < seen.index(b": ping") < seen.index(b"second")
    assert seen.endswith(b"data: [DONE]\n\n")


def test_an_error_in_the_stream_reaches_the_client_as_one(
    fake: FakeProvider, client: openai.OpenAI
) -> None:
    fake.script = [errors_in_band({"error": {"message": "overloaded", "code": 503}}, after=2)]
    texts = []
    with client.chat.completions.create(model="auto", messages=HELLO, stream=True) as stream:
        with pytest.raises(openai.APIError, match="overloaded") as raised:
            for chunk in stream:
                texts += [c.delta.content for c in chunk.choices if c.delta.content]
                assert not any(c.finish_reason for c in chunk.choices)
    assert texts == ["word0 ", "word1 "]
    assert isinstance(raised.value.body, dict)
    assert raised.value.body.keys() == {"message", "type", "param", "code"}


def test_a_tool_call_comes_whole(fake: FakeProvider, client: openai.OpenAI) -> None:
    fake.script = [calls_tool("weather", {"city": "Oslo"}, ("weather", {"city": "Rome"}))]
    answer = client.chat.completions.create(model="auto", messages=HELLO, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    calls: Any = answer.choices[0].message.tool_calls
    assert [json.loads(c.function.arguments)["city"] for c in calls] == ["Oslo", "Rome"]
    assert len({call.id for call in calls}) == 2


def test_a_tool_call_comes_streamed(fake: FakeProvider, client: openai.OpenAI) -> None:
    fake.script = [calls_tool("weather", {"city": "Oslo"}, ("weather", {"city": "Rome"}))]
    with client.chat.completions.stream(model="auto", messages=HELLO, tools=TOOLS) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [json.loads(c.function.arguments)["city"] for c in calls] == ["Oslo", "Rome"]
    assert final.choices[0].finish_reason == "tool_calls"


def test_tool_results_go_back_with_their_calls(fake: FakeProvider, client: openai.OpenAI) -> None:
    call: Any = {
        "id": "call_a",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
    }
    client.chat.completions.create(
        model="auto",
        messages=[
            *HELLO,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_a", "content": "rain"},
        ],
        tools=TOOLS,
    )
    sent = fake.requests[0].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == "call_a"


@pytest.mark.parametrize("chunked", [False, True], ids=["length stated", "chunked"])
def test_a_body_over_25_mb_is_413(server: Server, client: openai.OpenAI, chunked: bool) -> None:
    body = json.dumps(
        {"model": "auto", "messages": [{"role": "user", "content": "x" * (26 * 1024 * 1024)}]}
    ).encode()
    response = requests.post(
        f"{server.url}/v1/chat/completions",
        headers={**server.headers(), "Content-Type": "application/json"},
        data=iter([body[:100], body[100:]]) if chunked else body,
        timeout=PATIENCE,
    )
    assert response.status_code == 413
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}


def test_the_official_client_sees_413_too(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "x" * (40 * 1024 * 1024)}]
        )
    assert raised.value.status_code == 413


def test_models_are_listed_as_typed_pages(client: openai.OpenAI) -> None:
    found = [model.id for model in client.models.list()]
    assert found[0] == "auto"
    assert "alpha/m" in found
    assert client.models.retrieve("alpha/m").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/knows")
