"""How long a provider asked us to wait, in each of the ways that providers say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

from freellmapi.core.errors import DAY

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|us|µs|ns|h|m|s)", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
# These two are compiled when an error is first read: that took more than 1 ms of each start.
_PROSE = (
    r"(?i)\b(?:(?:try|try it|retry|again|wait|available|reset|resets)(?:\s+again)?)"
    r"(?:\s+(?:in|after|for|at least|about|another))*\s+"
    r"(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>(?:[hmsuµn]|ms)(?:\d[\dhmsuµn.]*)?\b|[a-z]+)"
)
_WORDS = (
    ("milli", 1e-3),
    ("sec", 1.0),
    ("min", 60.0),
    ("hour", 3600.0),
    ("hr", 3600.0),
    ("day", DAY),
)
_RESET_AT = r"(?i)(?:\breset\w*|重置)?\D{0,40}?(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})"
_FIELDS = ("retry_after", "retryAfter", "retry_after_seconds", "estimated_time")
_NESTED = ("error", "errors", "detail", "details", "metadata")
_EPOCH = 1e9
_EPOCH_MS = 1e12
_MAX_DEPTH = 6


def stated_wait(headers: Mapping[str, str], payload: object, now: float) -> float | None:
    """Seconds the provider asked us to wait, or None if it did not say.

    A field is a promise, a sentence an observation: headers first, then fields of the
    body, then the reset of a window that is used up, then prose. At most one day.
    Source: RFC 9110, section 10.2.3; each provider's documentation, read 2026-11-22.
    """
    known = {**_headers_in(payload), **headers}
    for wait in (
        _retry_header(known, now),
        _field(payload),
        exhausted_reset(known, now),
        _prose_in(payload),
    ):
        if wait is not None:
            return wait
    return None


def parse_duration(text: str) -> float | None:
    """Seconds in a Go duration (``2m59.56s``, ``50ms``), or None if it is not one."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))


def parse_reset(text: str, now: float) -> float | None:
    """Seconds from ``now`` in a reset header: a duration, seconds, an epoch (s, ms) or a date."""
    text = text.strip()
    if (wait := parse_duration(text)) is not None:
        return _clamp(wait)
    if _NUMBER.fullmatch(text):
        return _number(float(text), now)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return _clamp(_aware(moment, "UTC").timestamp() - now)
    except (ValueError, OverflowError):
        return _http_date(text, now)


def exhausted_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the last of the windows with nothing remaining opens again."""
    waits = [
        wait
        for name, value in headers.items()
        if "remaining" in name and _is_zero(value)
        for wait in [parse_reset(headers.get(name.replace("remaining", "reset"), ""), now)]
        if wait is not None
    ]
    return max(waits, default=None)


def prose_wait(text: str) -> float | None:
    """Seconds in a sentence like "try again in 7.66s" or "please wait 20 seconds"."""
    for match in re.finditer(_PROSE, text):
        amount, unit = match["amount"], match["unit"].lower().rstrip(".")
        wait = parse_duration(amount + unit)
        if wait is None:
            scale = next((s for word, s in _WORDS if unit.startswith(word)), None)
            wait = None if scale is None else float(amount) * scale
        if wait is not None:
            return _clamp(wait)
    return None


def reset_moment(text: str, zone: str, now: float) -> float | None:
    """Seconds until a date and time named in ``text``, which is local to ``zone``."""
    match = re.search(_RESET_AT, text)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{match[1]} {match[2]}")
    except ValueError:
        return None
    return _clamp(_aware(moment, zone).timestamp() - now)


def _retry_header(headers: Mapping[str, str], now: float) -> float | None:
    if (value := headers.get("retry-after", "").strip()) and (
        wait := parse_reset(value, now)
    ) is not None:
        return wait
    for name, scale in (("retry-after-ms", 1e-3), ("x-ratelimit-timeremaining", 1.0)):
        value = headers.get(name, "").strip()
        if _NUMBER.fullmatch(value):
            return _clamp(float(value) * scale)
    return None


def _field(payload: object) -> float | None:
    for node in _objects(payload, _MAX_DEPTH):
        # google.rpc.RetryInfo, and those who copied the name.
        delay = node.get("retryDelay", node.get("retry_delay"))
        if isinstance(delay, str) and (wait := parse_duration(delay.strip())) is not None:
            return _clamp(wait)
        for name in _FIELDS:
            if (wait := _seconds(node.get(name))) is not None:
                return wait
    return None


def _prose_in(payload: object) -> float | None:
    if isinstance(payload, str):
        return prose_wait(payload)
    for node in _objects(payload, _MAX_DEPTH):
        for value in node.values():
            if isinstance(value, str) and (wait := prose_wait(value[:4000])) is not None:
                return wait
    return None


def _headers_in(payload: object) -> dict[str, str]:
    """OpenRouter repeats the headers of a 429 in ``error.metadata.headers``."""
    for node in _objects(payload, _MAX_DEPTH):
        headers = node.get("headers")
        if isinstance(headers, Mapping):
            return {str(name).lower(): str(value) for name, value in headers.items()}
    return {}


def _objects(value: object, depth: int) -> Iterator[Mapping[str, object]]:
    """The JSON objects of an error body that may carry a wait, the outermost first."""
    if not depth:
        return
    if isinstance(value, list):
        for item in value[:20]:
            yield from _objects(item, depth - 1)
    elif isinstance(value, Mapping):
        yield value
        for name in _NESTED:
            yield from _objects(value.get(name), depth - 1)


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _clamp(float(text))
        wait = parse_duration(text)
        return None if wait is None else _clamp(wait)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _clamp(value)
    return None


def _number(value: float, now: float) -> float | None:
    if value >= _EPOCH_MS:
        return _clamp(value / 1000 - now)
    return _clamp(value - now if value >= _EPOCH else value)


def _http_date(text: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return _clamp(_aware(moment, "UTC").timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _aware(moment: datetime, zone: str) -> datetime:
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=timezone.utc if zone == "UTC" else ZoneInfo(zone))


def _is_zero(value: str) -> bool:
    try:
        return float(value) <= 0
    except ValueError:
        return False


def _clamp(wait: float) -> float | None:
    """At most a day; None for what is in the past or no number."""
    return min(float(wait), DAY) if 0 <= wait < float("inf") else None
