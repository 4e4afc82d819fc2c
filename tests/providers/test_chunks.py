"""Chunk JSON made by us is what the official client's types take."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletionChunk

from freellmapi.core.chat import Completion
from freellmapi.core.limits import Usage
from freellmapi.providers.chunks import as_chunks, chunk_bytes, read_usage, usage_chunk, usage_in

USAGE = Usage(12, 5, reasoning_tokens=3, cached_tokens=2)
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def whole(message: dict[str, Any], usage: Usage | None = USAGE) -> Completion:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Completion({"id": "c", "created": 1, "model": "m", "choices": [choice]}, usage)


def test_a_chunk() -> None:
    chunk = ChatCompletionChunk.model_validate_json(
        chunk_bytes("c", 1, "m", {"content": "a"}, "stop")
    )

    assert (chunk.choices[0].delta.content, chunk.choices[0].finish_reason) == ("a", "stop")


def test_usage_written_is_usage_read() -> None:
    data = usage_chunk("c", 1, "m", USAGE)
    chunk = ChatCompletionChunk.model_validate_json(data)

    assert chunk.choices == []
    assert chunk.usage is not None and chunk.usage.total_tokens == 17
    assert usage_in(orjson.loads(data)) == USAGE


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (None, None),
        ({}, None),
        ({"kudos": 3}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": 3, "completion_tokens": None, "total_tokens": 7}, Usage(3, 4)),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "cached_tokens": 2},
            Usage(3, 4, cached_tokens=2),
        ),
        ({"prompt_tokens": 3, "completion_tokens": -1}, Usage(3, 0)),
    ],
)
def test_usage_is_read_in_every_form(raw: object, usage: Usage | None) -> None:
    assert read_usage(raw) == usage


def test_a_whole_answer_becomes_a_stream() -> None:
    message = {
        "role": "assistant",
        "content": "hi",
        "reasoning_content": "hm",
        "refusal": None,
        "tool_calls": [CALL],
    }
    chunks = as_chunks(whole(message))
    read = [ChatCompletionChunk.model_validate_json(chunk.data) for chunk in chunks]

    assert read[0].choices[0].delta.role == "assistant"
    assert [(c.text, c.reasoning, c.tools, c.finish, c.usage_only) for c in chunks] == [
        ("", True, False, None, False),
        ("hi", False, False, None, False),
        ("", False, True, None, False),
        ("", False, False, "stop", False),
        ("", False, False, None, True),
    ]
    calls = read[2].choices[0].delta.tool_calls
    assert calls is not None and (calls[0].index, calls[0].id) == (0, "a")


def test_an_empty_answer_becomes_a_role_and_an_end() -> None:
    chunks = as_chunks(whole({"role": "assistant", "content": ""}, usage=None))

    assert [chunk.finish for chunk in chunks] == [None, "stop"]
