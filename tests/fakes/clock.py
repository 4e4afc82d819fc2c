"""A clock that stands still until told to move."""

from __future__ import annotations


class FrozenClock:
    """``now`` and ``monotonic`` move together, and only by ``advance`` or ``sleep``."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += seconds
