"""The OpenAI wire against bodies as providers send them, judged by the official client's types."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import orjson
import pytest
from openai.types.chat import ChatCompletion

from freellmapi.core.catalog import Model, Provider, Quirks
from freellmapi.core.chat import ChatRequest, Completion
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.providers.openai import OpenAIWire
from tests.fakes.clock import FrozenClock

DATA = Path(__file__).parent / "data" / "openai"
PROVIDER = Provider("alpha", "Alpha", "https://alpha.test/v1")
MODEL = Model("alpha", "m-catalog", "M", "m")
TOOLS = frozenset({"get_time"})


def wire() -> OpenAIWire:
    numbers = count(1)
    return OpenAIWire(FrozenClock(), lambda: f"{next(numbers):032x}")


def completion(body: bytes, tools: frozenset[str] = TOOLS) -> Completion:
    answer = wire().completion(body, {}, PROVIDER, MODEL, tools)
    ChatCompletion.model_validate(answer.body)
    return answer


def recorded(name: str) -> Completion:
    return completion((DATA / f"{name}.json").read_bytes())


def says(text: str) -> bytes:
    return orjson.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


@pytest.mark.parametrize(
    ("name", "content", "reasoning", "finish"),
    [
        ("plain", "14:05", None, "stop"),
        ("groq", "14:05", "Clock.", "stop"),
        ("mistral", "I look.", "Clock.", "tool_calls"),
        ("tools_objects", None, None, "tool_calls"),
        ("no_envelope", "14:05", None, "stop"),
        ("think", "14:05", "Clock.", "stop"),
        ("think_open", "", "Clock. And", "length"),
        ("filtered", "", None, "content_filter"),
        ("reasoning_only", "", "Clock.", "stop"),
        ("kudos", "14:05", None, "stop"),
        ("ollama_native", "14:05", "Clock.", "stop"),
        ("odd_logprobs", "14:05", None, "stop"),
    ],
)
def test_an_answer_is_what_the_official_client_takes(
    name: str, content: str | None, reasoning: str | None, finish: str
) -> None:
    choice = recorded(name).body["choices"][0]

    assert choice["message"]["content"] == content
    assert choice["message"].get("reasoning_content") == reasoning
    assert choice["finish_reason"] == finish


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("minimax_error", ErrorKind.RATE_LIMITED),
        ("cloudflare_error", ErrorKind.SERVER_ERROR),
        ("list_error", ErrorKind.RATE_LIMITED),
        ("error_200", ErrorKind.SERVER_ERROR),
        ("choice_error", ErrorKind.SERVER_ERROR),
        ("no_choices", ErrorKind.BAD_ANSWER),
        ("empty", ErrorKind.BAD_ANSWER),
    ],
)
def test_a_200_that_is_no_answer_raises(name: str, kind: ErrorKind) -> None:
    with pytest.raises(UpstreamError) as caught:
        recorded(name)

    assert caught.value.kind is kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"<html><body>Bad gateway</body></html>",
        (DATA / "plain.json").read_bytes()[:80],
        b"[]",
        b"null",
        b'"ok"',
        b'{"choices": {}}',
        b'{"choices": [null]}',
        b'{"choices": [{"finish_reason": "stop"}]}',
    ],
    ids=[
        "none",
        "blank",
        "html",
        "cut",
        "list",
        "null",
        "text",
        "object",
        "no choice",
        "no message",
    ],
)
def test_a_body_that_cannot_be_read_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        completion(body)

    assert caught.value.kind is ErrorKind.BAD_ANSWER


def test_an_answer_that_ended_in_an_error_raises() -> None:
    body = {"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}
    with pytest.raises(UpstreamError) as caught:
        completion(orjson.dumps(body))

    assert caught.value.kind is ErrorKind.SERVER_ERROR


def test_unknown_fields_are_kept() -> None:
    body = recorded("groq").body

    assert body["x_groq"] == {"id": "req_1"}
    assert body["usage"]["queue_time"] == 0.1


def test_a_tier_that_openai_has_not_is_left_out() -> None:
    assert "service_tier" not in recorded("groq").body


def test_what_the_envelope_lacks_is_filled_in() -> None:
    body = recorded("no_envelope").body

    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    assert body["created"] == int(FrozenClock().now())
    assert body["model"] == "m-catalog"


def test_the_model_that_served_is_named_as_the_provider_named_it() -> None:
    assert recorded("plain").body["model"] == "m-1"


def test_tool_calls_get_ids_and_arguments_as_text() -> None:
    first, second = recorded("tools_objects").body["choices"][0]["message"]["tool_calls"]

    assert first["id"].startswith("call_")
    assert orjson.loads(first["function"]["arguments"]) == {"city": "Oslo"}
    assert second == {
        "id": "call_b",
        "type": "function",
        "function": {"name": "get_time", "arguments": "{}"},
    }


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("plain", Usage(12, 5)),
        ("ollama_native", Usage(12, 5)),
        ("kudos", None),
        ("no_envelope", None),
    ],
)
def test_usage_is_read_where_it_counts_tokens(name: str, usage: Usage | None) -> None:
    answer = recorded(name)

    assert answer.usage == usage
    assert ("usage" in answer.body) == (usage is not None)


def test_a_tool_call_written_as_text_is_rescued() -> None:
    text = 'I look.\n<tool_call>{"name": "get_time", "arguments": {"city": "Oslo"}}</tool_call>'
    choice = completion(says(text)).body["choices"][0]

    assert choice["message"]["content"].strip() == "I look."
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "get_time"
    assert choice["finish_reason"] == "tool_calls"


def test_a_tool_that_was_not_declared_stays_text() -> None:
    text = '<tool_call>{"name": "rm", "arguments": {}}</tool_call>'
    message = completion(says(text)).body["choices"][0]["message"]

    assert message["content"] == text
    assert "tool_calls" not in message


def test_a_refusal_that_quotes_the_call_is_rescued() -> None:
    text = '<function=get_time{"city": "Oslo"}</function>'
    body = {"error": {"code": "tool_use_failed", "message": "x", "failed_generation": text}}
    answer = wire().rescued(orjson.dumps(body), PROVIDER, MODEL, TOOLS)

    assert answer is not None
    ChatCompletion.model_validate(answer.body)
    [call] = answer.body["choices"][0]["message"]["tool_calls"]
    assert orjson.loads(call["function"]["arguments"]) == {"city": "Oslo"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"error": "no"}', b'{"error": {"failed_generation": "just text"}}'],
    ids=["empty", "no error", "a sentence", "no call"],
)
def test_a_refusal_without_a_call_is_not_rescued(body: bytes) -> None:
    assert wire().rescued(body, PROVIDER, MODEL, TOOLS) is None


def request(stream: bool = False, **body: object) -> ChatRequest:
    return ChatRequest("auto", {"messages": [{"role": "user", "content": "hi"}], **body}, stream)


def test_a_streamed_call_asks_for_usage() -> None:
    call = wire().call(request(stream=True, seed=7), PROVIDER, MODEL)

    assert call.path == "/chat/completions"
    assert orjson.loads(call.body) == {
        "model": "m-catalog",
        "messages": [{"role": "user", "content": "hi"}],
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("flag", "sent"),
    [("no_stream_usage", {"stream": True}), ("no_stream", {})],
)
def test_a_call_asks_only_for_what_the_provider_can(flag: str, sent: dict[str, object]) -> None:
    provider = Provider("beta", "B", "https://b.test", quirks=Quirks(flags=frozenset({flag})))
    body = orjson.loads(wire().call(request(stream=True), provider, MODEL).body)

    assert {name: body[name] for name in body if name.startswith("stream")} == sent


def test_a_call_leaves_the_request_as_it_was() -> None:
    chat = request(max_tokens=5, stop=["a", "b", "c", "d", "e"])
    quirks = Quirks(drop=frozenset({"max_tokens"}), drop_in_messages=frozenset({"content"}))
    provider = Provider("beta", "B", "https://b.test", quirks=quirks)
    wire().call(chat, provider, MODEL)

    assert chat == request(max_tokens=5, stop=["a", "b", "c", "d", "e"])
