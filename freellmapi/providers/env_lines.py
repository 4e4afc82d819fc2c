"""Reads the names and values of a pasted ``.env``, shell script or JSON; judges nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from freellmapi.core.values import dataclass

_ASSIGNMENT = re.compile(
    r"""(?x) (?:export\s+ | set(?:x|env)?\s+ | declare\s+-x\s+ | ENV\s+ | -\s+ | \$env:)?
    ["']? (?P<name>[A-Za-z_][A-Za-z0-9_.-]*) ["']?
    \s* (?: = | :(?=\s|["'])) \s* (?P<value>.*)"""
)
_MOST_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Pair:
    """One name with its value; ``name`` is empty for a value that stands alone on its line."""

    name: str
    value: str = field(repr=False)
    provider: str = ""
    """Named in an export of ours."""
    label: str = ""


def pairs(text: str) -> Iterator[Pair]:
    """What the text assigns, in its order. ``ValueError`` when it is far too long."""
    if len(text) > _MOST_CHARACTERS:
        raise ValueError("the text is longer than a million characters")
    text = text.lstrip("\ufeff").strip()
    if text[:1] in ("{", "["):
        try:
            data = json.loads(text)
        except ValueError:
            pass
        else:
            yield from _of_json(data)
            return
    for line in text.splitlines():
        yield from _of_line(line.strip())


def _of_json(data: object) -> Iterator[Pair]:
    """Our own export (``{"keys": [{"provider", "key", "label"}]}``), or names with values."""
    entries = data.get("keys") if isinstance(data, Mapping) and "keys" in data else data
    if isinstance(entries, list):
        for entry in entries:
            if isinstance(entry, str):
                yield Pair("", entry.strip())
            elif isinstance(entry, Mapping) and isinstance(entry.get("key"), str):
                provider, label = entry.get("provider"), entry.get("label")
                yield Pair(
                    "",
                    entry["key"].strip(),
                    provider if isinstance(provider, str) else "",
                    label if isinstance(label, str) else "",
                )
    elif isinstance(entries, Mapping):
        for name, value in entries.items():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str):
                    yield Pair(str(name), item.strip())


def _of_line(line: str) -> Iterator[Pair]:
    if not line or line.startswith(("#", "//", ";", "[", "```")) or line.lower().startswith("rem "):
        return
    match = _ASSIGNMENT.fullmatch(line)
    if match is None:
        bare = _value(line.removeprefix("- "))
        if bare:
            yield Pair("", bare)
        return
    for value in _several(_value(match["value"])):
        yield Pair(match["name"], value)


def _value(text: str) -> str:
    """The value itself: without quotes, and without what a line has after it."""
    text = text.strip().rstrip(",;").strip()
    if text[:1] in ('"', "'", "`"):
        inner, closed, _ = text[1:].partition(text[0])
        return inner.strip() if closed else text[1:].strip()
    return re.split(r"\s+(?:#|//)|\s*;\s", text, maxsplit=1)[0].strip()


def _several(value: str) -> list[str]:
    """The keys of a list such as ``a,b``; at least one, so that an empty value is told of."""
    return [part.strip(" '\"") for part in value.split(",") if part.strip(" '\"")] or [""]
