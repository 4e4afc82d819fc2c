"""How many tokens a request is, before any provider has counted them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CHARS_PER_TOKEN = 4.0
# Scripts beyond ASCII take more tokens a character: by this much for each further UTF-8
# byte, about 0.6 tokens a Cyrillic letter and 0.95 a Chinese one come out.
TOKENS_PER_EXTRA_BYTE = 0.35
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 1_000
TOKENS_PER_AUDIO = 1_500
DEFAULT_OUTPUT = 1_024


def text_tokens(text: str) -> float:
    """Tokens of a text, rather high than low."""
    tokens = len(text) / CHARS_PER_TOKEN
    if not text.isascii():
        extra = len(text.encode("utf-8", "surrogatepass")) - len(text)
        tokens += extra * TOKENS_PER_EXTRA_BYTE
    return tokens


def prompt_tokens(messages: Sequence[Mapping[str, Any]], tools: object = None) -> int:
    """Tokens of messages (texts, images, tool calls and results) and tool schemas."""
    total = 2.0
    for message in messages:
        total += TOKENS_PER_MESSAGE + _content_tokens(message.get("content"))
        calls = message.get("tool_calls")
        if calls:
            total += _json_tokens(calls)
    if tools:
        total += _json_tokens(tools)
    return int(total) + 1


def reserved_output(max_tokens: int | None) -> int:
    """Output tokens to hold for a call."""
    return DEFAULT_OUTPUT if max_tokens is None else max_tokens


def _content_tokens(content: object) -> float:
    if isinstance(content, str):
        return text_tokens(content)
    if not isinstance(content, list):
        return 0.0
    total = 0.0
    for part in content:
        if isinstance(part, str):
            total += text_tokens(part)
        elif isinstance(part, Mapping):
            total += _part_tokens(part)
    return total


def _part_tokens(part: Mapping[str, Any]) -> float:
    text = part.get("text")
    if isinstance(text, str):
        return text_tokens(text)
    if part.get("type") == "image_url":
        return TOKENS_PER_IMAGE
    return TOKENS_PER_AUDIO


def _json_tokens(value: object) -> float:
    """Tokens of a JSON value, counting keys and about one token a piece of punctuation."""
    if isinstance(value, str):
        return text_tokens(value) + 0.5
    if isinstance(value, Mapping):
        return sum(text_tokens(str(k)) + 1 + _json_tokens(v) for k, v in value.items())
    if isinstance(value, list):
        return sum(map(_json_tokens, value)) + 1
    return 1.0
