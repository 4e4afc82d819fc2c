"""A worker's picture of the shared counters: what Redis said last, asked without asking it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from freellmapi.core.limits import Bucket
from freellmapi.core.values import dataclass
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.account import Account
from freellmapi.router.counter import UNKNOWN, Period
from freellmapi.router.learning import StatedLimits
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.pace import Pace
from freellmapi.router.share import Share


@dataclass(frozen=True, slots=True)
class Known:
    """One bucket as Redis keeps it."""

    version: int
    state: Mapping[str, Any]

    @classmethod
    def read(cls, text: bytes) -> Known:
        state = orjson.loads(text)
        return cls(state["v"], state)

    def account(self) -> Account:
        """The same as a counter of this process."""
        state = self.state
        flat = state["slots"] or ()
        slots = {flat[i]: [flat[i + 1], flat[i + 2]] for i in range(0, len(flat), 3)}
        account = Account(
            slots=slots,
            requests=sum(flat[1::3]),
            tokens=sum(flat[2::3]),
            newest=flat[-3] if flat else 0,
            day=Period(*state["day"]),
            month=Period(*state["month"]),
            pace=Pace(*state["pace"]),
            in_flight=sum(state["open"].values()) if state["open"] else 0,
            closed_until=state["closed"],
        )
        account.stated = StatedLimits(
            {window: (limit, at) for window, (limit, at) in dict(state["stated"]).items()}
        )
        return account


class Pictured(MemoryLedger):
    """Counters whose truth is elsewhere: they answer questions, and are replaced by it."""

    def __init__(self) -> None:
        super().__init__()
        self.share: Share | None = None
        """While Redis is gone: how much of each cap is this worker's."""

    def replace(self, name: str, known: Known) -> None:
        """Take over the truth of a bucket."""
        before, after = self._counters.get(name), known.account()
        if before is not None:
            if after.stated.same_as(before.stated):
                after.given, after.limits = before.given, before.limits
                after.limits_until = before.limits_until
            if _has_eased(before, after):
                self.closed.eased(name)
        self._counters[name] = after

    def is_news(self, bucket: Bucket, seen: Observation, now: float, sent_at: float) -> bool:
        """Whether this observation says something that is not in the picture."""
        return self._counter(bucket, self._time(now)).is_news(seen, now, sent_at)

    def __contains__(self, name: str) -> bool:
        return name in self._counters

    def counter(self, bucket: Bucket, now: float) -> Account:
        return self._counter(bucket, self._time(now))

    def reset(self, share: Share | None) -> None:
        """Judge by other caps from now on."""
        self.share = share
        for name, counter in self._counters.items():
            counter.given = None
            self.closed.eased(name)

    def doubt(self, now: float) -> None:
        """Count once more what the busiest second took of each bucket.

        What others took since the last look, less than a second ago, is not known. It may be
        booked ahead, and then counts for longer.
        """
        for counter in self._counters.values():
            if counter.slots:
                requests, tokens = map(max, zip(*counter.slots.values(), strict=True))
                counter.add(max(now, counter.newest), requests, tokens)

    def clear(self) -> None:
        self._counters.clear()

    def _counter(self, bucket: Bucket, now: float) -> Account:
        counter = super()._counter(bucket, now)
        if self.share is not None:
            limits = self.share.of(bucket, counter, now).limits
            if counter.limits is not limits:
                counter.limits = limits
                counter.pressed = UNKNOWN
        return counter


def _has_eased(before: Account, after: Account) -> bool:
    """Whether there may be more room than there was thought to be."""
    return (
        after.requests < before.requests
        or after.tokens < before.tokens
        or after.in_flight < before.in_flight
        or after.day.requests < before.day.requests
        or after.day.tokens < before.day.tokens
        or after.month.tokens < before.month.tokens
        or after.month.requests < before.month.requests
        or after.closed_until < before.closed_until
        or after.limits is not before.limits
    )
