from __future__ import annotations

import pytest

from freellmapi.providers.plain_text import TextReader, read_whole

CALL = '<tool_call>{"name": "look", "arguments": {}}</tool_call>'
TEXTS = [
    *("", " ", "Hello.", "\n  Hello. \n", "<", " <thi", "<b>bold</b>", "a <think>b</think>"),
    *("<think>a</think>b", " \n<think> a </think> b", "<think>never closed", "<think></think>"),
    *(CALL, f"<think>a</think>{CALL}", f"text {CALL}"),
]


@pytest.mark.parametrize("tools", [frozenset(), frozenset({"look"})], ids=["none", "tools"])
@pytest.mark.parametrize("text", TEXTS)
def test_whole_it_is_read_as_in_pieces(text: str, tools: frozenset[str]) -> None:
    reader = TextReader(tools)
    said = reader.read("") + reader.flush()
    reader = TextReader(tools)
    for piece in text:
        said += reader.read(piece)
    assert read_whole(text, tools) == said + reader.flush()
