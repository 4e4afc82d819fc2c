"""Caps, what was used of them, and the windows they are counted in."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from freellmapi.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """A provider's caps. None means that none is stated."""

    rpm: int | None = None
    rpd: int | None = None
    tpm: int | None = None
    tpd: int | None = None
    requests_per_month: int | None = None
    tokens_per_month: int | None = None
    concurrency: int | None = None

    def tightened(self, other: Limits) -> Limits:
        """The stricter of both, cap by cap."""
        return Limits(
            **{
                f.name: _stricter(getattr(self, f.name), getattr(other, f.name))
                for f in fields(self)
            }
        )

    def replaced(self, other: Limits) -> Limits:
        """These caps, with those that ``other`` states instead."""
        return Limits(
            **{
                f.name: getattr(self, f.name)
                if getattr(other, f.name) is None
                else getattr(other, f.name)
                for f in fields(self)
            }
        )


NO_LIMITS = Limits()


def _stricter(a: int | None, b: int | None) -> int | None:
    if a is None:
        return b
    return a if b is None else min(a, b)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens consumed by one call; ``exact`` when the provider counted them."""

    prompt_tokens: int
    completion_tokens: int
    exact: bool = True
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Bucket:
    """One counter that a call must fit into, e.g. a model on a key, or a whole account."""

    name: str
    limits: Limits
    zone: str = "UTC"


def next_midnight(now: float, zone: str) -> float:
    """Epoch seconds of the next 00:00 in ``zone``, where its daily caps reset."""
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    tomorrow = (local + timedelta(days=1)).date()
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=local.tzinfo).timestamp()


def day_start(now: float, zone: str) -> float:
    """Epoch seconds of the last 00:00 in ``zone``."""
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    return datetime(local.year, local.month, local.day, tzinfo=local.tzinfo).timestamp()


def month_start(now: float, zone: str) -> float:
    """Epoch seconds of 00:00 on the first of this month in ``zone``."""
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    return datetime(local.year, local.month, 1, tzinfo=local.tzinfo).timestamp()


def next_month(now: float, zone: str) -> float:
    """Epoch seconds of 00:00 on the first of next month in ``zone``."""
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
    return datetime(year, month, 1, tzinfo=local.tzinfo).timestamp()
