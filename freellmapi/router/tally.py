"""What has been used of one bucket, window by window, as it is shown to people.

The values here are not frozen: a page asks for thousands of them every few seconds, and
frozen ones take twice as long to make.
"""

from __future__ import annotations

from collections.abc import Iterator

from freellmapi.core.limits import Limits
from freellmapi.core.values import dataclass
from freellmapi.router.account import Account
from freellmapi.router.counter import MINUTE_SLOTS

REQUESTS = frozenset({"rpm", "rpd", "requests_per_month"})
"""The windows that count requests; all others count tokens."""
PERIODS = {
    "rpm": "this minute",
    "tpm": "this minute",
    "rpd": "today",
    "tpd": "today",
    "requests_per_month": "this month",
    "tokens_per_month": "this month",
}
"""The windows, the shortest first, in words."""


@dataclass(slots=True)
class Used:
    """Of one period; ``resets_at`` in epoch seconds."""

    requests: int
    tokens: int
    resets_at: float


@dataclass(slots=True)
class Tally:
    """All that is counted of a bucket, capped or not, and the caps in force."""

    limits: Limits
    minute: Used
    """Of the sliding minute; it resets when its oldest call leaves it."""
    day: Used
    month: Used
    requests_a_second: float
    """Over the last minutes, or today while nothing was used since the start; and so is
    ``tokens_a_second``."""
    tokens_a_second: float
    in_flight: int
    closed_until: float
    """Until when the provider itself said that nothing is left (epoch seconds)."""


@dataclass(slots=True)
class Window:
    """One stated cap: what is used and left of it, and for how long that lasts."""

    window: str
    """A field of ``Limits``: rpm, tpm, rpd, tpd, requests_per_month, tokens_per_month."""
    cap: int
    used: int
    left: int
    resets_at: float
    pace: float
    """Used a second, over the last minutes."""
    runs_out_at: float | None
    """When nothing is left at that pace; None when it resets first."""

    @property
    def unit(self) -> str:
        return "requests" if self.window in REQUESTS else "tokens"

    def __str__(self) -> str:
        return f"{self.used:,} of {self.cap:,} {self.unit} {PERIODS[self.window]}"


def tally(counter: Account, now: float) -> Tally:
    """What this counter, rolled to ``now``, has counted."""
    day, month = counter.day, counter.month
    requests, tokens = counter.minute(now)
    oldest = min(next(iter(counter.slots), int(now)), int(now))
    if counter.pace.at:
        pace = counter.pace.per_second(now)
    else:
        seconds = max(now - day.since, 1.0)
        pace = (day.requests / seconds, day.tokens / seconds)
    return Tally(
        counter.limits,
        Used(requests, tokens, oldest + MINUTE_SLOTS),
        Used(day.requests, day.tokens, day.ends_at),
        Used(month.requests, month.tokens, month.ends_at),
        *pace,
        counter.in_flight,
        counter.closed_until,
    )


def windows(tally: Tally, now: float) -> Iterator[Window]:
    """The windows whose cap is stated, the shortest first."""
    limits, minute, day, month = tally.limits, tally.minute, tally.day, tally.month
    requests, tokens = tally.requests_a_second, tally.tokens_a_second
    if limits.rpm is not None:
        yield _window("rpm", limits.rpm, minute.requests, minute.resets_at, requests, now)
    if limits.tpm is not None:
        yield _window("tpm", limits.tpm, minute.tokens, minute.resets_at, tokens, now)
    if limits.rpd is not None:
        yield _window("rpd", limits.rpd, day.requests, day.resets_at, requests, now)
    if limits.tpd is not None:
        yield _window("tpd", limits.tpd, day.tokens, day.resets_at, tokens, now)
    cap = limits.requests_per_month
    if cap is not None:
        resets_at = month.resets_at
        yield _window("requests_per_month", cap, month.requests, resets_at, requests, now)
    cap = limits.tokens_per_month
    if cap is not None:
        yield _window("tokens_per_month", cap, month.tokens, month.resets_at, tokens, now)


def _window(name: str, cap: int, used: int, resets_at: float, pace: float, now: float) -> Window:
    left = max(0, cap - used)
    runs_out_at: float | None = None
    if left == 0:
        runs_out_at = now
    elif pace > 0 and now + left / pace < resets_at:
        runs_out_at = now + left / pace
    return Window(name, cap, used, left, resets_at, pace, runs_out_at)
