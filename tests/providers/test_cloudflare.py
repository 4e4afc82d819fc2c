"""Workers AI end to end: the catalog's entry on OpenAI's wire."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from freellmapi.core.chat import ChatRequest, Chunk
from freellmapi.core.errors import Bench, ErrorKind, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.endpoints import endpoint
from freellmapi.providers.openai import OpenAIWire
from tests.fakes.clock import FrozenClock

CATALOG = load_catalog()
CLOUDFLARE = CATALOG.providers["cloudflare"]
LLAMA = CATALOG.by_ref["cloudflare/@cf/meta/llama-3.3-70b-instruct-fp8-fast"]
SCOUT = CATALOG.by_ref["cloudflare/@cf/meta/llama-4-scout-17b-16e-instruct"]
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "14:05"}, "finish_reason": "stop"}
TOOLS = frozenset({"get_time"})


def wire() -> OpenAIWire:
    numbers = count(1)
    return OpenAIWire(FrozenClock(1_790_000_000), new_id=lambda: str(next(numbers)))


def sent(model: Any = LLAMA, **body: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": "Hi"}], **body}
    call = wire().call(ChatRequest("auto", body), CLOUDFLARE, model)
    assert call.path == "/chat/completions"
    made: dict[str, Any] = json.loads(call.body)
    return made


def completed(result: object) -> dict[str, Any]:
    body = json.dumps({"result": result, "success": True, "errors": [], "messages": []}).encode()
    made = wire().completion(body, {}, CLOUDFLARE, LLAMA, TOOLS).body
    ChatCompletion.model_validate(made, strict=True)
    return made


def read(*events: object) -> list[Chunk]:
    data = b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)
    reader = wire().reader(CLOUDFLARE, LLAMA, TOOLS)
    chunks = reader.feed(data + b"data: [DONE]\n\n") + reader.close()
    assert reader.ended
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.data, strict=True)
    return chunks


def test_the_account_stands_in_the_url_and_the_token_in_the_header() -> None:
    made = endpoint(CLOUDFLARE, "acc0unt:t0:ken")
    assert made.base_url == "https://api.cloudflare.com/client/v4/accounts/acc0unt/ai/v1"
    assert made.headers["Authorization"] == "Bearer t0:ken"


def test_contents_are_strings_and_an_output_is_always_stated() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    made = sent(
        messages=[
            {"role": "user", "content": parts, "name": "me"},
            {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
            {"role": "tool", "tool_call_id": "a", "content": parts},
        ],
        reasoning_effort="low",
        user="me",
        parallel_tool_calls=True,
    )
    assert made == {
        "model": LLAMA.id,
        "max_tokens": 4096,
        "messages": [
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "a\nb"},
        ],
    }
    assert sent(SCOUT)["max_tokens"] == 8192
    assert sent(max_completion_tokens=7)["max_tokens"] == 7


@pytest.mark.parametrize(
    "result",
    [
        {"choices": [CHOICE], "usage": USAGE, "id": "x", "model": LLAMA.id},
        {"response": "14:05", "usage": USAGE},
        {"response": "14:05", "tool_calls": [], "usage": USAGE},
    ],
    ids=["OpenAI's inside", "its own", "its own, no calls"],
)
def test_an_answer_wrapped_in_a_result(result: dict[str, Any]) -> None:
    made = completed(result)
    assert made["choices"][0]["message"]["content"] == "14:05"
    assert made["choices"][0]["finish_reason"] == "stop"
    assert made["usage"]["total_tokens"] == 25
    assert made["model"] == LLAMA.id


def test_its_own_calls_get_ids_and_arguments_as_text() -> None:
    call = {"name": "get_time", "arguments": {"city": "Oslo"}}
    choice = completed({"response": None, "tool_calls": [call]})["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_time", "arguments": '{"city":"Oslo"}'},
        }
    ]


def test_json_mode_answers_with_an_object() -> None:
    assert completed({"response": {"a": 1}})["choices"][0]["message"]["content"] == '{"a":1}'


@pytest.mark.parametrize("result", [{}, {"response": ""}, {"image": "QQ=="}], ids=str)
def test_a_result_that_says_nothing_is_a_bad_answer(result: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError) as caught:
        completed(result)
    assert caught.value.kind is ErrorKind.BAD_ANSWER


def test_its_own_stream() -> None:
    events = [{"response": "14:", "p": "abc"}, {"response": 5, "p": "a"}]
    chunks = read(*events, {"response": "", "usage": USAGE})
    assert [c.text for c in chunks] == ["14:", "5", "", ""]
    assert [c.finish for c in chunks] == [None, None, "stop", None]
    assert chunks[-1].usage == Usage(20, 5)


def test_calls_in_its_own_stream() -> None:
    call = {"name": "get_time", "arguments": {"city": "Oslo"}}
    chunks = read({"response": "", "tool_calls": [call]}, {"response": "", "usage": USAGE})
    made = json.loads(chunks[0].data)["choices"][0]["delta"]["tool_calls"][0]
    assert (made["index"], made["function"]["arguments"]) == (0, '{"city":"Oslo"}')
    assert [c.finish for c in chunks if c.finish] == ["tool_calls"]


def test_the_days_neurons_are_the_accounts() -> None:
    error = {"code": 3036, "message": "you have used up your daily free allocation of neurons"}
    body = {"result": None, "success": False, "errors": [error], "messages": []}
    with pytest.raises(UpstreamError) as caught:
        wire().completion(json.dumps(body).encode(), {}, CLOUDFLARE, LLAMA)
    assert caught.value.kind is ErrorKind.DAILY_QUOTA
    assert (caught.value.bench or caught.value.policy.bench) in (Bench.POOL, Bench.KEY)
