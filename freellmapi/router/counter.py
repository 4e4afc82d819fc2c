"""What was used of one bucket: a sliding minute in slots, a day, a month, calls under way.

Minutes slide in slots of one second, so a counter's memory is bounded whatever the
traffic; days and months end at midnight in the provider's own zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from freellmapi.core.limits import Limits, next_midnight, next_month

# A call counts at the provider when it arrives, up to a second or so after it was
# reserved here. A slot therefore leaves the window two seconds after its minute began to
# end, which costs under 4 % of a cap and keeps true sliding windows free of a 429.
MINUTE_SLOTS = 62

NEVER = float("inf")


@dataclass(slots=True)
class Period:
    """A window that ends at a fixed time, such as a day."""

    since: float = 0.0
    ends_at: float = 0.0
    requests: int = 0
    tokens: int = 0


@dataclass(slots=True)
class Counter:
    """Everything counted for one bucket."""

    slots: dict[int, list[int]] = field(default_factory=dict)
    """Second -> [requests, tokens], oldest first."""
    requests: int = 0
    tokens: int = 0
    day: Period = field(default_factory=Period)
    month: Period = field(default_factory=Period)
    in_flight: int = 0

    def roll(self, now: float, zone: str) -> None:
        """Forget what has left its window."""
        slots = self.slots
        oldest = int(now) - MINUTE_SLOTS
        while slots:
            second = next(iter(slots))
            if second > oldest:
                break
            requests, tokens = slots.pop(second)
            self.requests -= requests
            self.tokens -= tokens
        if now >= self.day.ends_at:
            self.day = Period(now, next_midnight(now, zone))
        if now >= self.month.ends_at:
            self.month = Period(now, next_month(now, zone))

    def add(self, second: int, requests: int, tokens: int) -> None:
        slot = self.slots.get(second)
        if slot is None:
            # A clock that went back must not break the order: the newest slot takes it.
            newest = next(reversed(self.slots), second)
            slot = self.slots.setdefault(max(second, newest), [0, 0])
        slot[0] += requests
        slot[1] += tokens
        self.requests += requests
        self.tokens += tokens
        for period in (self.day, self.month):
            period.requests += requests
            period.tokens += tokens

    def correct(self, at: float, requests: int, tokens: int) -> None:
        """Change what was added at that time, in the windows that still hold it."""
        slot = self.slots.get(int(at))
        if slot is not None:
            slot[0] += requests
            slot[1] += tokens
            self.requests += requests
            self.tokens += tokens
        for period in (self.day, self.month):
            if at >= period.since:
                period.requests = max(0, period.requests + requests)
                period.tokens = max(0, period.tokens + tokens)


def fits(counter: Counter, limits: Limits, tokens: int) -> bool:
    """Whether one more call of so many tokens is within every cap."""
    return not any(_over(*window) for window in _windows(counter, limits, tokens))


def _windows(
    counter: Counter, limits: Limits, tokens: int
) -> Iterable[tuple[int | None, int, int]]:
    """(cap, used, wanted) of each window."""
    day, month = counter.day, counter.month
    return (
        (limits.rpm, counter.requests, 1),
        (limits.tpm, counter.tokens, tokens),
        (limits.rpd, day.requests, 1),
        (limits.tpd, day.tokens, tokens),
        (limits.concurrency, counter.in_flight, 1),
        (limits.requests_per_month, month.requests, 1),
        (limits.tokens_per_month, month.tokens, tokens),
    )


def opens_at(counter: Counter, limits: Limits, tokens: int, now: float) -> float:
    """Epoch seconds from which such a call fits; ``NEVER`` under a cap of 0.

    When calls under way are all that is in the way, nobody can say: ``now``.
    """
    if fits(counter, limits, tokens):
        return now
    if any(cap == 0 for cap, _, _ in _windows(counter, limits, tokens)):
        return NEVER
    at = _minute_opens_at(counter, limits, tokens, now)
    day, month = counter.day, counter.month
    if _over(limits.rpd, day.requests, 1) or _over(limits.tpd, day.tokens, tokens):
        at = max(at, day.ends_at)
    if _over(limits.requests_per_month, month.requests, 1) or _over(
        limits.tokens_per_month, month.tokens, tokens
    ):
        at = max(at, month.ends_at)
    return at


def _minute_opens_at(counter: Counter, limits: Limits, tokens: int, now: float) -> float:
    """When enough of the oldest slots have left the sliding minute."""
    requests_left, tokens_left = counter.requests, counter.tokens
    at = now
    for second, (requests, used) in counter.slots.items():
        if not _over(limits.rpm, requests_left, 1) and not _over(limits.tpm, tokens_left, tokens):
            return at
        requests_left -= requests
        tokens_left -= used
        at = float(second + MINUTE_SLOTS)
    return at


def _over(cap: int | None, used: int, more: int) -> bool:
    # A call larger than the whole cap may go when nothing else is in the window: the
    # estimate counts output that may never come. Prompts that cannot fit are left out
    # before this.
    return cap is not None and used + more > cap and (used > 0 or cap == 0)


def pressure(counter: Counter, limits: Limits) -> float:
    """How used up the tightest window is, 0 (all left) to 1 (nothing left)."""
    shares = (
        used / cap if cap else 1.0
        for cap, used, _ in _windows(counter, limits, 0)
        if cap is not None
    )
    return min(max(shares, default=0.0), 1.0)
