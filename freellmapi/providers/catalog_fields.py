"""Reads a table of the catalog's TOML strictly: each field by name, each value by type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import date
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from freellmapi.core.catalog import QUIRK_FLAGS, KeyProbe, Quirks
from freellmapi.core.limits import Limits

Reader = Callable[[object], Any]
"""Turns a TOML value into the dataclass's; ``ValueError`` says what was expected."""


class CatalogError(ValueError):
    """A catalog entry that cannot be used: its place (file and field) and what is wrong."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem

    def within(self, outer: str) -> CatalogError:
        """The same, seen from the table around it."""
        return CatalogError(outer + self.place, self.problem)


def read_table(value: object, readers: Mapping[str, Reader], where: str = "") -> dict[str, Any]:
    """The fields of one table, converted. ``CatalogError`` names the first bad one."""
    if not isinstance(value, Mapping):
        raise CatalogError(where, "expected a table")
    found: dict[str, Any] = {}
    for name, item in value.items():
        reader = readers.get(name)
        if reader is None:
            raise CatalogError(where, f"unknown field '{name}' (known: {', '.join(readers)})")
        try:
            found[name] = reader(item)
        except CatalogError as exc:
            raise exc.within(f"{where}.{name}") from exc
        except ValueError as exc:
            raise CatalogError(f"{where}.{name}", str(exc)) from exc
    return found


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text that is not empty")
    return value


def optional_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("expected a whole number of at least 1")
    return value


def seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 86_400:
        raise ValueError("expected a number of seconds")
    return float(value)


def day(value: object) -> str:
    if type(value) is not date:
        raise ValueError("expected a date such as 2026-11-22, without quotes")
    return value.isoformat()


def zone(value: object) -> str:
    name = text(value)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise ValueError(f"unknown time zone '{name}'") from exc
    return name


def pattern(value: object) -> str:
    source = text(value)
    try:
        re.compile(source)
    except re.error as exc:
        raise ValueError(f"not a regular expression: {exc}") from exc
    return source


def url(value: object) -> str:
    """An http(s) URL without a trailing slash."""
    source = text(value)
    if not re.match(r"https?://[^/\s@]+(/\S*)?$", source):
        raise ValueError(f"'{source}' is no http:// or https:// URL")
    return source.rstrip("/")


def path_or_url(value: object) -> str:
    source = text(value)
    if source.startswith("/"):
        return source
    return url(source)


def one_of(*choices: str) -> Reader:
    def read(value: object) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return str(value)

    return read


def matching(expression: str, expected: str) -> Reader:
    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(expression, value):
            raise ValueError(f"expected {expected}")
        return value

    return read


def list_of(reader: Reader) -> Reader:
    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError("expected a list")
        return tuple(reader(item) for item in value)

    return read


def set_of(reader: Reader) -> Reader:
    def read(value: object) -> frozenset[Any]:
        return frozenset(list_of(reader)(value))

    return read


def mapping_of(reader: Reader, key: Reader = text) -> Reader:
    def read(value: object) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError("expected a table")
        return MappingProxyType({key(name): reader(item) for name, item in value.items()})

    return read


def table(readers: Mapping[str, Reader], build: Callable[..., Any]) -> Reader:
    """A table inside another one, built into ``build``."""

    def read(value: object) -> Any:
        return build(**read_table(value, readers))

    return read


def _anything(value: object) -> object:
    return value


def _status(value: object) -> int:
    if count(value) not in range(200, 600):
        raise ValueError("expected an HTTP status")
    return count(value)


def _range(value: object) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("expected [lowest, highest]")
    low, high = value
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in value) or low > high:
        raise ValueError("expected [lowest, highest]")
    return low, high


def _frozen(**found: Any) -> Mapping[str, Any]:
    return MappingProxyType(found)


_WINDOW = "(rpm|rpd|tpm|tpd|month_requests|month_tokens)"
_UNIT = "(duration|seconds|epoch|epoch_ms|any)"

header_meanings = mapping_of(
    matching(
        f"(limit|remaining)_{_WINDOW}|reset(_{_WINDOW})?:{_UNIT}",
        "limit_<window>, remaining_<window> or reset_<window>:<unit>",
    ),
    key=matching("[a-z0-9-]+", "a header's name in lower case"),
)

LIMITS: Mapping[str, Reader] = {f.name: count for f in fields(Limits)}

QUIRKS: Mapping[str, Reader] = {
    "drop": set_of(text),
    "rename": mapping_of(text),
    "set": mapping_of(_anything),
    "clamp": mapping_of(_range),
    "choices": mapping_of(list_of(text)),
    "allow": set_of(text),
    "drop_in_messages": set_of(text),
    "flags": set_of(one_of(*QUIRK_FLAGS)),
}

PROBE: Mapping[str, Reader] = {
    "path": path_or_url,
    "method": one_of("GET", "POST"),
    "model": text,
    "valid": set_of(_status),
    "invalid": set_of(_status),
    "invalid_markers": list_of(text),
}

limits = table(LIMITS, Limits)
quirks = table(QUIRKS, Quirks)
# A model may take a flag of its provider away.
quirk_changes = table(
    {**QUIRKS, "flags": set_of(one_of(*QUIRK_FLAGS, *(f"-{name}" for name in QUIRK_FLAGS)))},
    _frozen,
)


def probe(value: object) -> KeyProbe:
    found = read_table(value, PROBE)
    require(found, ("path",))
    return KeyProbe(**found)


def require(found: Mapping[str, Any], names: Iterable[str], where: str = "") -> None:
    """``CatalogError`` for the first of ``names`` that is not there."""
    for name in names:
        if name not in found:
            raise CatalogError(where, f"'{name}' is missing")
