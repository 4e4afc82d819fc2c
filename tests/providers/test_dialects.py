"""Tool calls written as text: each family's form, and what only looks like one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.providers.dialects import ToolText
from freellmapi.providers.think import ThinkSplitter

TOOLS = frozenset({"get_time", "list_all"})
OSLO = ("get_time", {"city": "Oslo"})
ROME = ("get_time", {"city": "Rome"})
ARGS = '{"city": "Oslo"}'


def told(*pieces: str) -> tuple[str, list[tuple[str, Any]]]:
    """The text and the calls that were made out."""
    reader = ToolText(TOOLS)
    text, calls = "", []
    for more, found in [*(reader.feed(piece) for piece in pieces), reader.flush()]:
        text += more
        calls += [(c["function"]["name"], orjson.loads(c["function"]["arguments"])) for c in found]
    return text, calls


FORMS = {
    "hermes": (
        '<tool_call>\n{"name": "get_time", "arguments": {"city": "Oslo"}}\n</tool_call>',
        [OSLO],
    ),
    "hermes, never closed": (
        '<tool_call>{"name": "get_time", "arguments": {"city": "Oslo"}}',
        [OSLO],
    ),
    "hermes, arguments as text": (
        '<tool_call>{"name": "get_time", "arguments": "{\\"city\\": \\"Oslo\\"}"}</tool_call>',
        [OSLO],
    ),
    "hermes, twice": (
        '<tool_call>{"name": "get_time", "arguments": {"city": "Oslo"}}</tool_call>\n'
        '<tool_call>{"name": "get_time", "arguments": {"city": "Rome"}}</tool_call>',
        [OSLO, ROME],
    ),
    "glm": (
        "<tool_call>get_time\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>",
        [OSLO],
    ),
    "glm, no arguments": ("<tool_call>list_all</tool_call>", [("list_all", {})]),
    "qwen coder": (
        "<tool_call>\n<function=get_time>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>",
        [OSLO],
    ),
    "llama function": (f"<function=get_time>{ARGS}</function>", [OSLO]),
    "llama function, half a tag": (f"<function=get_time{ARGS}</function>", [OSLO]),
    "llama python tag": (
        '<|python_tag|>{"name": "get_time", "parameters": {"city": "Oslo"}}',
        [OSLO],
    ),
    "mistral": ('[TOOL_CALLS][{"name": "get_time", "arguments": {"city": "Oslo"}}]', [OSLO]),
    "mistral, newer": (
        f'[TOOL_CALLS]get_time[ARGS]{ARGS}[TOOL_CALLS]get_time[ARGS]{{"city": "Rome"}}',
        [OSLO, ROME],
    ),
    "kimi": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_time:0"
        f"<|tool_call_argument_begin|>{ARGS}<|tool_call_end|><|tool_calls_section_end|>",
        [OSLO],
    ),
    "deepseek": (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n"
        f"```json\n{ARGS}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        [OSLO],
    ),
    "bare object": ('{"name": "get_time", "arguments": {"city": "Oslo"}}', [OSLO]),
    "bare object, parameters": ('{"name": "get_time", "parameters": {"city": "Oslo"}}', [OSLO]),
    "fenced object": ('```json\n{"name": "get_time", "arguments": {"city": "Oslo"}}\n```', [OSLO]),
}

TEXTS = {
    "undeclared": '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    "undeclared, bare": '{"name": "rm", "arguments": {}}',
    "broken arguments": "<function=get_time>{city}</function>",
    "arguments that are no object": "<function=get_time>7</function>",
    "an answer in JSON": '{"city": "Oslo", "name": "get_time"}',
    "a fence of code": "```python\nprint(1)\n```",
    "a fence of JSON": '```json\n{"a": 1}\n```',
    "an object and more": '{"name": "get_time", "arguments": {}} is how',
    "half a mark": "a <tool_ca",
    "lists": "[1, 2] [TOOL",
    "talk of tags": "use <tool_call> to call",
    "glm with garbage": "<tool_call>get_time <arg_key>city</tool_call>",
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_read_whole_and_by_letter(name: str) -> None:
    text, calls = FORMS[name]

    assert told(text) == ("", calls)
    assert told(*text) == ("", calls)


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_call_stays_text(name: str) -> None:
    text = TEXTS[name]

    assert told(text) == (text, [])
    assert told(*text) == (text, [])


def test_text_before_and_after_a_call_stays() -> None:
    call = FORMS["llama function"][0]

    assert told(f"I look. {call} So.\n\nYes.") == ("I look. So.\n\nYes.", [OSLO])


@pytest.mark.parametrize("text", ["Hello", "{ok", "```py", "a < b", "[1"])
def test_text_is_released_as_soon_as_it_diverges(text: str) -> None:
    assert ToolText(TOOLS).feed(text)[0] == text


@given(st.text(alphabet='<tool_cal>{}[] \nTHINKthink/`"name:', max_size=60), st.integers(1, 7))
def test_text_without_calls_is_never_changed(text: str, size: int) -> None:
    pieces = [text[i : i + size] for i in range(0, len(text), size)]

    assert told(*pieces) == (text, [])


@given(st.text(alphabet="<think>/ \nab", max_size=60), st.integers(1, 7))
def test_thinking_is_parted_alike_however_it_is_split(text: str, size: int) -> None:
    assert _parted([text]) == _parted([text[i : i + size] for i in range(0, len(text), size)])


def _parted(pieces: list[str]) -> tuple[str, str]:
    reader = ThinkSplitter()
    parts = [*(reader.feed(piece) for piece in pieces), reader.flush()]
    return "".join(r for r, _ in parts), "".join(t for _, t in parts)
