"""A conversation in OpenAI's form as Cohere's ``messages``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.answers import arguments_text, parts_text

Message = Mapping[str, Any]

NO_RESULT = "(no result)"
"""Stands for the result of a call that has none: Cohere wants one for each."""

_BAD_IN_NAME = re.compile(r"[^a-zA-Z0-9_]")


class Names:
    """Functions' names as Cohere takes them (letters, digits, ``_``; no digit first), and back."""

    __slots__ = ("_back", "_there")

    def __init__(self, declared: Iterable[str]) -> None:
        self._there: dict[str, str] = {}
        self._back: dict[str, str] = {}
        # Names that need no change come first and keep theirs, whatever the others become.
        for name in sorted(set(declared), key=lambda n: (_clean(n) != n, n)):
            self._add(name)

    def _add(self, name: str) -> None:
        wanted = taken = _clean(name)
        number = 2
        while taken in self._back:
            taken, number = f"{wanted}_{number}", number + 1
        self._there[name], self._back[taken] = taken, name

    def there(self, name: str) -> str:
        return self._there.get(name) or _clean(name)

    def back(self, name: str) -> str:
        return self._back.get(name, name)


def _clean(name: str) -> str:
    clean = _BAD_IN_NAME.sub("_", name) or "_"
    return f"_{clean}" if clean[0].isdigit() else clean


def conversation(messages: Sequence[Message], names: Names) -> list[dict[str, Any]]:
    """The messages as Cohere takes them: none empty, every call followed by its result.

    Raises ``UpstreamError`` when nothing is left, or for content that it has no place for.
    """
    results = {m["tool_call_id"]: m for m in messages if _is_result(m)}
    said: list[dict[str, Any]] = []
    told: set[str] = set()
    for message in messages:
        role = message.get("role")
        if role == "assistant":
            said += _assistant(message, names, results, told)
        elif role in ("tool", "function"):
            said += [] if message.get("tool_call_id") in told else _stray(message)
        elif role in ("system", "developer"):
            said += _plain("system", _text(message))
        else:
            said += _plain("user", _content(message.get("content")))
    if not said:
        raise refused("There is no text in any of the messages.")
    return said


def _is_result(message: Message) -> bool:
    return message.get("role") in ("tool", "function") and bool(message.get("tool_call_id"))


def _plain(role: str, content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content}] if content else []


def _assistant(
    message: Message, names: Names, results: Mapping[str, Message], told: set[str]
) -> list[dict[str, Any]]:
    """The model's turn, and the results of its calls right behind it.

    Text beside calls is their plan (docs.cohere.com/docs/tool-use-overview).
    """
    text = _text(message)
    calls = _calls(message, names)
    if not calls:
        return _plain("assistant", text)
    turn: dict[str, Any] = {"role": "assistant", "tool_calls": calls}
    plan = text or message.get("reasoning_content")
    if isinstance(plan, str) and plan:
        turn["tool_plan"] = plan
    ids = [call["id"] for call in calls]
    told.update(ids)
    return [turn, *(_result(id, results.get(id)) for id in ids)]


def _calls(message: Message, names: Names) -> list[dict[str, Any]]:
    listed = message.get("tool_calls")
    calls: dict[str, dict[str, Any]] = {}
    for number, call in enumerate(listed if isinstance(listed, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not function.get("name"):
            continue
        id = str(call.get("id") or f"call_{number}")
        made = {
            "name": names.there(str(function["name"])),
            "arguments": arguments_text(function.get("arguments")) or "{}",
        }
        calls.setdefault(id, {"id": id, "type": "function", "function": made})
    return list(calls.values())


def _result(id: str, message: Message | None) -> dict[str, Any]:
    text = _text(message) if message else ""
    return {"role": "tool", "tool_call_id": id, "content": text or NO_RESULT}


def _stray(message: Message) -> list[dict[str, Any]]:
    """A result whose call is not in the history, told in words: it is refused otherwise."""
    text = _text(message)
    name = message.get("name") or message.get("tool_call_id") or "a tool"
    return _plain("user", f"Result of {name}:\n{text}" if text else "")


def _text(message: Message) -> str:
    """The text of a content, a line for each of its parts."""
    content = message.get("content")
    listed = content if isinstance(content, list) else [content]
    return "\n".join(text for part in listed if (text := parts_text(part)[1]))


def _content(content: object) -> str | list[dict[str, Any]]:
    """A user's content: a string unless there are images in it."""
    if not isinstance(content, list):
        return parts_text(content)[1]
    parts = [made for part in content if (made := _part(part))]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: object) -> dict[str, Any] | None:
    if isinstance(part, str):
        part = {"text": part}
    if not isinstance(part, dict):
        raise refused("A content part is neither text nor an object.")
    if part.get("type") == "image_url":
        image = part.get("image_url")
        given = image if isinstance(image, dict) else {"url": image}
        kept = {name: given[name] for name in ("url", "detail") if given.get(name)}
        return {"type": "image_url", "image_url": kept}
    text = part.get("text")
    if not isinstance(text, str):
        kind = str(part.get("type"))[:40]
        raise refused(f"Cohere has no place for a content part of type {kind!r}.")
    return {"type": "text", "text": text} if text else None


def refused(message: str) -> UpstreamError:
    """The request holds something that Cohere has no place for."""
    return UpstreamError(ErrorKind.REQUEST_REFUSED, message)
