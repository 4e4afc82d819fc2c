"""What an answer's rate-limit headers say of the caps and what is left of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from freellmapi.core.catalog import Provider

Window = Literal["rpm", "rpd", "tpm", "tpd", "month_requests", "month_tokens"]


@dataclass(frozen=True, slots=True)
class Observation:
    """One window as the provider counts it. ``resets_in`` is seconds; None is not stated."""

    window: Window
    limit: int | None = None
    remaining: int | None = None
    resets_in: float | None = None


def observed(
    headers: Mapping[str, str], provider: Provider, now: float
) -> tuple[Observation, ...]:
    """The windows that these headers (names lower-cased) speak of."""
    return ()
