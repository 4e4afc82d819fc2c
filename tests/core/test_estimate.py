"""Tokens before any provider has counted them: rather high than low."""

from __future__ import annotations

from typing import Any

import pytest

from freellmapi.core.estimate import (
    DEFAULT_OUTPUT,
    TOKENS_PER_AUDIO,
    TOKENS_PER_IMAGE,
    prompt_tokens,
    reserved_output,
    text_tokens,
)


@pytest.mark.parametrize(
    ("text", "lowest", "highest"),
    [
        ("", 0, 0),
        ("The quick brown fox jumps over the lazy dog.", 10, 14),
        ("Съешь же ещё этих мягких французских булок", 20, 32),
        ("我能吞下玻璃而不伤身体", 9, 14),
        ("いろはにほへと ちりぬるを", 10, 16),
        ("👩‍👩‍👧‍👦", 4, 20),
        ("\ud800 lone surrogate", 4, 8),
    ],
    ids=["nothing", "English", "Russian", "Chinese", "Japanese", "emoji", "surrogate"],
)
def test_scripts_cost_what_they_cost(text: str, lowest: float, highest: float) -> None:
    assert lowest <= text_tokens(text) <= highest


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "A" * 100_000, "format": "wav"}}


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        ([IMAGE], TOKENS_PER_IMAGE),
        ([AUDIO], TOKENS_PER_AUDIO),
        (["x" * 400], 100),
        ([{"type": "text", "text": "x" * 400}], 100),
        ([{"text": "x" * 400}], 100),
        ([7, None], 0),
    ],
    ids=["image", "audio", "bare string", "text part", "part without a type", "odd parts"],
)
def test_parts_are_counted_by_what_they_are(more: list[Any], tokens: int) -> None:
    bare = prompt_tokens(user([{"type": "text", "text": "hello"}]))
    full = prompt_tokens(user([{"type": "text", "text": "hello"}, *more]))
    assert full - bare == tokens


@pytest.mark.parametrize("content", [None, "", [], 5], ids=str)
def test_a_message_without_content_costs_its_frame(content: Any) -> None:
    assert 4 <= prompt_tokens(user(content)) <= 10


def test_tool_schemas_calls_and_results_count() -> None:
    schema = {"type": "object", "properties": {f"field{n}": {"type": "string"} for n in range(50)}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    call = {"id": "c1", "function": {"name": "f", "arguments": "x" * 4_000}}
    assert prompt_tokens(user("hi"), tools) > prompt_tokens(user("hi")) + 200
    messages = [*user("hi"), {"role": "assistant", "content": None, "tool_calls": [call]}]
    assert prompt_tokens(messages) > prompt_tokens(user("hi")) + 1_000


def test_deep_schemas_are_no_problem() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"items": deep, "flag": True, "n": [1, 2.5, None]}
    assert prompt_tokens(user("hi"), [deep]) > 400


@pytest.mark.parametrize(("asked", "held"), [(None, DEFAULT_OUTPUT), (1, 1), (9_000, 9_000)])
def test_output_is_held_as_asked(asked: int | None, held: int) -> None:
    assert reserved_output(asked) == held
