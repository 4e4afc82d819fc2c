"""What is left in every window of a bucket."""

from __future__ import annotations

from freellmapi.core.limits import Limits
from freellmapi.core.values import dataclass
from freellmapi.router.counter import MINUTE_SLOTS, Counter


@dataclass(frozen=True, slots=True)
class Window:
    """One cap and what is left of it; ``resets_at`` in epoch seconds."""

    cap: int
    left: int
    resets_at: float


@dataclass(frozen=True, slots=True)
class Headroom:
    """What is left, by window; only stated caps are listed."""

    requests: tuple[Window, ...]
    tokens: tuple[Window, ...]

    def tightest_requests(self) -> Window | None:
        return min(self.requests, key=lambda w: w.left, default=None)

    def tightest_tokens(self) -> Window | None:
        return min(self.tokens, key=lambda w: w.left, default=None)


def left_of(counter: Counter, limits: Limits, now: float) -> Headroom:
    """What is left of every cap of one bucket."""
    day, month = counter.day, counter.month
    minute = min(next(iter(counter.slots), int(now)), int(now)) + MINUTE_SLOTS
    requests, tokens = counter.minute(now)
    return Headroom(
        _stated(
            (limits.rpm, requests, minute),
            (limits.rpd, day.requests, day.ends_at),
            (limits.requests_per_month, month.requests, month.ends_at),
        ),
        _stated(
            (limits.tpm, tokens, minute),
            (limits.tpd, day.tokens, day.ends_at),
            (limits.tokens_per_month, month.tokens, month.ends_at),
        ),
    )


def _stated(*windows: tuple[int | None, int, float]) -> tuple[Window, ...]:
    """The windows of (cap, used, resets at) whose cap is stated."""
    return tuple(
        Window(cap, max(0, cap - used), resets_at)
        for cap, used, resets_at in windows
        if cap is not None
    )
