"""The memory ledger: what each key, model and account has used, and what is left.

A reservation takes from every window of every bucket or from none. Minutes slide in
slots of one second, so a bucket's memory is bounded whatever the traffic; days and
months end at midnight in the provider's own zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from freellmapi.core.limits import Bucket, Limits, Usage, next_midnight, next_month
from freellmapi.core.route import Reservation

# A call counts at the provider when it arrives, up to a second or so after it was
# reserved here. A slot therefore leaves the window two seconds after its minute began to
# end, which costs under 4 % of a cap and keeps true sliding windows free of a 429.
MINUTE_SLOTS = 62


class Ledger(Protocol):
    """Headroom, held before a call and corrected after it."""

    def reserve(
        self, buckets: tuple[Bucket, ...], tokens: int, now: float
    ) -> Reservation | None: ...

    def settle(self, reservation: Reservation, usage: Usage | None, *, spent: bool) -> None: ...

    def opens_at(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> float: ...

    def pressure(self, buckets: tuple[Bucket, ...], now: float) -> float: ...

    def headroom(self, buckets: tuple[Bucket, ...], now: float) -> Headroom: ...

    def restore(self, name: str, zone: str, at: float, requests: int, tokens: int) -> None: ...


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


@dataclass(slots=True)
class _Period:
    """A window that ends at a fixed time, such as a day."""

    since: float = 0.0
    ends_at: float = 0.0
    requests: int = 0
    tokens: int = 0


@dataclass(slots=True)
class _Counter:
    """Everything counted for one bucket."""

    slots: dict[int, list[int]] = field(default_factory=dict)
    """Second -> [requests, tokens], oldest first."""
    requests: int = 0
    tokens: int = 0
    day: _Period = field(default_factory=_Period)
    month: _Period = field(default_factory=_Period)
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
            self.day = _Period(now, next_midnight(now, zone))
        if now >= self.month.ends_at:
            self.month = _Period(now, next_month(now, zone))

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


class MemoryLedger:
    """The ledger of a single process; greenlets never switch inside its methods."""

    def __init__(self) -> None:
        self._counters: dict[str, _Counter] = {}
        self._last_id = 0
        self._open: set[int] = set()

    def reserve(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> Reservation | None:
        """Headroom for one call of so many tokens, or None if any window lacks it."""
        counters = [self._counter(bucket, now) for bucket in buckets]
        for bucket, counter in zip(buckets, counters, strict=True):
            if not _fits(counter, bucket.limits, tokens):
                return None
        second = int(now)
        for counter in counters:
            counter.add(second, 1, tokens)
            counter.in_flight += 1
        self._last_id += 1
        self._open.add(self._last_id)
        return Reservation(self._last_id, buckets, tokens, now)

    def settle(self, reservation: Reservation, usage: Usage | None, *, spent: bool) -> None:
        """Correct a reservation by what was used; the second call for one is ignored.

        ``spent`` False gives everything back. With ``usage`` None, or one that is only an
        estimate below the reserved tokens, what was reserved is kept.
        """
        if reservation.id not in self._open:
            return
        self._open.discard(reservation.id)
        requests, tokens = 0, 0
        if not spent:
            requests, tokens = -1, -reservation.tokens
        elif usage is not None and (usage.exact or usage.total > reservation.tokens):
            tokens = usage.total - reservation.tokens
        for bucket in reservation.buckets:
            counter = self._counters[bucket.name]
            counter.in_flight -= 1
            if requests or tokens:
                counter.correct(reservation.at, requests, tokens)

    def opens_at(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> float:
        """Epoch seconds from which ``reserve`` would succeed if nothing else were used."""
        return max(
            (_opens_at(self._counter(b, now), b.limits, tokens, now) for b in buckets), default=now
        )

    def pressure(self, buckets: tuple[Bucket, ...], now: float) -> float:
        """How used up the tightest window is, 0 (all left) to 1 (nothing left)."""
        return max((_pressure(self._counter(b, now), b.limits) for b in buckets), default=0.0)

    def headroom(self, buckets: tuple[Bucket, ...], now: float) -> Headroom:
        """What is left in every window of these buckets."""
        requests: list[Window] = []
        tokens: list[Window] = []
        for bucket in buckets:
            counter, limits = self._counter(bucket, now), bucket.limits
            minute = next(iter(counter.slots), int(now)) + MINUTE_SLOTS
            day, month = counter.day, counter.month
            requests += _stated(
                (limits.rpm, counter.requests, minute),
                (limits.rpd, day.requests, day.ends_at),
                (limits.requests_per_month, month.requests, month.ends_at),
            )
            tokens += _stated(
                (limits.tpm, counter.tokens, minute),
                (limits.tpd, day.tokens, day.ends_at),
                (limits.tokens_per_month, month.tokens, month.ends_at),
            )
        return Headroom(tuple(requests), tuple(tokens))

    def restore(self, name: str, zone: str, at: float, requests: int, tokens: int) -> None:
        """Count what the request log knows of an earlier life; oldest first."""
        counter = self._counters.setdefault(name, _Counter())
        counter.roll(at, zone)
        counter.add(int(at), requests, tokens)

    def _counter(self, bucket: Bucket, now: float) -> _Counter:
        counter = self._counters.get(bucket.name)
        if counter is None:
            counter = self._counters[bucket.name] = _Counter()
        counter.roll(now, bucket.zone)
        return counter


def _fits(counter: _Counter, limits: Limits, tokens: int) -> bool:
    for cap, used, more in _windows(counter, limits, tokens):
        # A call larger than the whole cap may go when nothing else is in the window: the
        # estimate counts output that may never come. Prompts that cannot fit are left out
        # before this.
        if cap is not None and used + more > cap and (used or more == 1 or cap == 0):
            return False
    return True


def _windows(
    counter: _Counter, limits: Limits, tokens: int
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


def _opens_at(counter: _Counter, limits: Limits, tokens: int, now: float) -> float:
    if _fits(counter, limits, tokens):
        return now
    at = now
    day, month = counter.day, counter.month
    if _over(limits.rpd, day.requests, 1) or _over(limits.tpd, day.tokens, tokens):
        at = max(at, day.ends_at)
    if _over(limits.requests_per_month, month.requests, 1) or _over(
        limits.tokens_per_month, month.tokens, tokens
    ):
        at = max(at, month.ends_at)
    return max(at, _minute_opens_at(counter, limits, tokens, now))


def _minute_opens_at(counter: _Counter, limits: Limits, tokens: int, now: float) -> float:
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
    return cap is not None and used + more > cap and (used > 0 or cap == 0)


def _pressure(counter: _Counter, limits: Limits) -> float:
    return max(
        (
            used / cap if cap else 1.0
            for cap, used, _ in _windows(counter, limits, 0)
            if cap is not None
        ),
        default=0.0,
    )


def _stated(*windows: tuple[int | None, int, float]) -> tuple[Window, ...]:
    """The windows of (cap, used, resets at) whose cap is stated."""
    return tuple(
        Window(cap, max(0, cap - used), resets_at)
        for cap, used, resets_at in windows
        if cap is not None
    )
