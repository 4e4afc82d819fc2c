"""Messages of a request in the form that a pickier provider takes."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable
from typing import Any

FLAGS = frozenset(
    {
        "empty_content_not_null",
        "flatten_content",
        "merge_system",
        "nine_char_tool_ids",
        "no_empty_turns",
        "no_user_after_tool",
    }
)
_ALPHABET = string.ascii_letters + string.digits
_BRIDGE = {"role": "assistant", "content": "Noted."}

Message = dict[str, Any]


def step(dropped: frozenset[str], flags: frozenset[str]) -> Callable[[dict[str, Any]], None]:
    """What is done to a body's messages under these quirks; messages are copied, not changed.

    Fields that are null are left out as well: providers that are strict about messages
    refuse ``"function_call": null`` and the like.
    """
    each: list[Callable[[Message], None]] = [rule for flag, rule in _EACH if flag in flags]

    def apply(body: dict[str, Any]) -> None:
        messages = [_copied(message, dropped) for message in body["messages"]]
        for message in messages:
            for rule in each:
                rule(message)
        if "no_empty_turns" in flags:
            messages = [message for message in messages if not _is_empty_turn(message)]
        if "merge_system" in flags:
            messages = merged_system(messages)
        if "no_user_after_tool" in flags:
            messages = bridged(messages)
        body["messages"] = messages

    return apply


def _copied(message: Message, dropped: frozenset[str]) -> Message:
    return {
        name: value
        for name, value in message.items()
        if name not in dropped and (value is not None or name == "content")
    }


def flatten_content(message: Message) -> None:
    """A list of nothing but text parts as one string; parts are parted by a line break."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [_text(part) for part in content]
        if None not in texts:
            message["content"] = "\n".join(text for text in texts if text)


def _text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else None


def empty_content(message: Message) -> None:
    """``""`` where the content is null or left out."""
    if message.get("content") is None:
        message["content"] = ""


def short_tool_ids(message: Message) -> None:
    """Nine letters and digits for each call's id, the same for the call and its result."""
    if isinstance(message.get("tool_call_id"), str):
        message["tool_call_id"] = nine_chars(message["tool_call_id"])
    if isinstance(message.get("tool_calls"), list):
        message["tool_calls"] = [
            {**call, "id": nine_chars(call["id"])} if isinstance(call.get("id"), str) else call
            for call in message["tool_calls"]
        ]


def nine_chars(id: str) -> str:
    """``id`` if it is nine letters and digits, else nine that always follow from it."""
    if len(id) == 9 and id.isascii() and id.isalnum():
        return id
    number = int.from_bytes(hashlib.sha256(id.encode()).digest()[:8], "big")
    digits = []
    for _ in range(9):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def _is_empty_turn(message: Message) -> bool:
    silent = not message.get("content") and not message.get("tool_calls")
    return message.get("role") == "assistant" and silent


def merged_system(messages: list[Message]) -> list[Message]:
    """All system messages as one, at the start."""
    system = [m for m in messages if m.get("role") in ("system", "developer")]
    if not system or (len(system) == 1 and messages[0] is system[0]):
        return messages
    for message in system:
        flatten_content(message)
    text = "\n\n".join(m["content"] for m in system if isinstance(m.get("content"), str))
    rest = [m for m in messages if m.get("role") not in ("system", "developer")]
    return [{"role": "system", "content": text}, *rest]


def bridged(messages: list[Message]) -> list[Message]:
    """A short assistant turn wherever a user turn follows a tool's result at once."""
    out: list[Message] = []
    for message in messages:
        if message.get("role") == "user" and out and out[-1].get("role") == "tool":
            out.append(_BRIDGE)
        out.append(message)
    return out


_EACH: tuple[tuple[str, Callable[[Message], None]], ...] = (
    ("flatten_content", flatten_content),
    ("empty_content_not_null", empty_content),
    ("nine_char_tool_ids", short_tool_ids),
)
