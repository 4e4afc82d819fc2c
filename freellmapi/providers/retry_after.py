"""How long a provider asked us to wait, in each of the ways that providers say it."""

from __future__ import annotations

from collections.abc import Mapping


def stated_wait(headers: Mapping[str, str], payload: object, now: float) -> float | None:
    """Seconds the provider asked us to wait, or None if it did not say."""
    return None


def parse_duration(text: str) -> float | None:
    """Seconds in a Go duration (``2m59.56s``), or None if it is not one."""
    return None
