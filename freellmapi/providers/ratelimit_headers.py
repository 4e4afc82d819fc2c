"""What an answer says of the caps and what is left of them: its headers, or its error body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, cast, get_args

from freellmapi.core.catalog import Provider
from freellmapi.core.values import dataclass
from freellmapi.providers import error_body
from freellmapi.providers.retry_after import parse_duration, parse_reset

Window = Literal["rpm", "rpd", "tpm", "tpd", "month_requests", "month_tokens"]

WINDOWS: tuple[str, ...] = get_args(Window)

_COUNT = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
# "... on tokens per day (TPD): Limit 100000, Used 99000, Requested 2000" (Groq, OpenAI).
_NAMED_CAP = re.compile(r"\((RPM|RPD|TPM|TPD)\): Limit (\d{1,12})\b")


@dataclass(frozen=True, slots=True)
class Observation:
    """One window as the provider counts it. ``resets_in`` is seconds; None is not stated."""

    window: Window
    limit: int | None = None
    remaining: int | None = None
    resets_in: float | None = None


def observed(headers: Mapping[str, str], provider: Provider, now: float) -> tuple[Observation, ...]:
    """The windows that these headers (names lower-cased) speak of.

    ``Provider.ratelimit_headers`` says what each header means. A ``reset`` of no window in
    particular is given to the windows with nothing remaining.
    """
    counts: dict[tuple[str, str], int] = {}
    resets: dict[str, float] = {}
    for header, meaning in provider.ratelimit_headers.items():
        text = headers.get(header)
        if text is None:
            continue
        what, window, unit = _meaning(meaning)
        if what == "reset":
            if (wait := _reset(text.strip(), unit, now)) is not None:
                resets[window] = wait
        elif _COUNT.fullmatch(text.strip()):
            counts[what, window] = int(float(text))
    if not counts and not resets:
        return ()
    return tuple(_windows(counts, resets))


def named_in_body(payload: object) -> tuple[Observation, ...]:
    """Caps that a decoded error body names: Google's quota violations, Groq's sentence."""
    body = error_body.read(payload, 429)
    found: dict[str, int] = {m[1].lower(): int(m[2]) for m in _NAMED_CAP.finditer(body.reason)}
    for violation in body.violations:
        value = str(violation.get("quotaValue", ""))
        window = _quota_window(str(violation.get("quotaId", "")))
        if window and _COUNT.fullmatch(value):
            found[window] = int(float(value))
    return tuple(Observation(cast(Window, window), limit=cap) for window, cap in found.items())


def _windows(
    counts: Mapping[tuple[str, str], int], resets: Mapping[str, float]
) -> list[Observation]:
    found = []
    for window in WINDOWS:
        limit, remaining = counts.get(("limit", window)), counts.get(("remaining", window))
        wait = resets.get(window, resets.get("") if remaining == 0 else None)
        if (limit, remaining, wait) != (None, None, None):
            found.append(Observation(cast(Window, window), limit, remaining, wait))
    return found


@lru_cache(maxsize=256)
def _meaning(text: str) -> tuple[str, str, str]:
    """``reset_tpm:duration`` -> ("reset", "tpm", "duration"); ``reset:epoch_ms`` has no window."""
    name, _, unit = text.partition(":")
    what, _, window = name.partition("_")
    if what not in ("limit", "remaining", "reset") or (window or "rpm") not in WINDOWS:
        raise ValueError(f"unknown meaning of a rate-limit header: {text}")
    return what, window, unit or "any"


def _reset(text: str, unit: str, now: float) -> float | None:
    """Seconds until a reset; a wait that is past is zero, nonsense None."""
    if unit == "duration":
        return parse_duration(text)
    if unit == "any" or not _COUNT.fullmatch(text):
        return parse_reset(text, now)
    value = float(text)
    if unit == "seconds":
        return value
    return max(0.0, (value / 1000 if unit == "epoch_ms" else value) - now)


def _quota_window(quota_id: str) -> str | None:
    """The window of ``GenerateRequestsPerDayPerProjectPerModel-FreeTier`` and its kin."""
    match = re.search(r"Per(Minute|Day)", quota_id)
    if match is None:
        return None
    tokens = "Token" in quota_id
    return ("tp" if tokens else "rp") + ("m" if match[1] == "Minute" else "d")
