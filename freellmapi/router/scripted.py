"""How Redis is asked for what the shared ledger counts, and which time it has there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from freellmapi.core.clock import Clock
from freellmapi.core.limits import Bucket, Limits
from freellmapi.core.values import dataclass
from freellmapi.router.counter import NEVER, day_of, month_of
from freellmapi.router.pictured import Known
from freellmapi.storage.shared import TIMEOUT, Script, Shared, SharedUnavailable

SCRIPT = Script(Path(__file__).with_name("ledger.lua").read_text())
STALE_TRIES = 3
DRIFT = 0.0001
"""Seconds by which the clocks may drift apart between two answers."""
STEP = 2 * TIMEOUT
"""Seconds by which an answer cannot be late: a clock was set."""
FIXED = ("epoch", "seq", "changed", "workers")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the script answered: ``now`` and ``at`` (of the call) by the clock of Redis."""

    word: str
    now: float
    at: float


class Scripted:
    """Runs ``ledger.lua`` in the name of one worker."""

    def __init__(self, shared: Shared, clock: Clock, worker: str, *, callers_clock: bool) -> None:
        self.shared = shared
        self.worker = worker
        self._clock = clock
        self._callers_clock = callers_clock
        self._offset = 0.0 if callers_clock else -NEVER
        self._fixed = [shared.key(name) for name in FIXED]
        self.epoch = ""
        """What Redis was told when it was empty last; another one means that it was emptied."""
        self._caps: dict[Limits, dict[str, int]] = {}
        self._latest = 0.0

    def learn(self, name: str, known: Known) -> None:
        """Told of every bucket that an answer speaks of."""
        raise NotImplementedError

    @property
    def offset(self) -> float:
        """Seconds that the clock of Redis is ahead of ours."""
        return self._offset if self._offset > -NEVER else 0.0

    def _there(self, now: float) -> float:
        return now + self.offset

    def ask(self, what: str, buckets: Sequence[Bucket], now: float, **more: Any) -> Reply:
        """Run the script for these buckets, and see what it says of them."""
        self._latest = max(self._latest, now)
        there = self._there(now)
        names = [bucket.name for bucket in buckets]
        for _ in range(STALE_TRIES):
            found = self.run(what, names, buckets=self.told(buckets, there), **more)
            there = float(found[1])
            if found[0] != b"stale":
                for name, text in zip(names, found[3:], strict=True):
                    self.learn(name, Known.read(text))
                return Reply(found[0].decode(), there, float(found[2]))
        raise SharedUnavailable("the clocks of this machine and of Redis differ by days")

    def told(self, buckets: Sequence[Bucket], there: float) -> list[dict[str, Any]]:
        return [
            {
                "name": bucket.name,
                "caps": self._caps_of(bucket.limits),
                "day": day_of(there, bucket.zone),
                "month": month_of(there, bucket.zone),
            }
            for bucket in buckets
        ]

    def _caps_of(self, limits: Limits) -> dict[str, int]:
        found = self._caps.get(limits)
        if found is None:
            stated = {name: getattr(limits, name) for name in limits.__slots__}
            found = {name: cap for name, cap in stated.items() if cap is not None}
            self._caps[limits] = found
        return found

    def run(self, what: str, names: Sequence[str], **arguments: Any) -> Any:
        """The script's reply as it is; ``SharedUnavailable`` also when Redis was emptied."""
        arguments = {"worker": self.worker, "epoch": self.epoch, **arguments}
        if self._callers_clock:
            arguments["now"] = self._now()
        open_calls = self.shared.key(f"open:{arguments['worker']}")
        keys = [*self._fixed, open_calls, *(self.shared.key("b:" + name) for name in names)]
        found = self.shared.run(SCRIPT, keys, what, orjson.dumps(arguments))
        if found[0] == b"lost":
            raise SharedUnavailable("Redis was emptied")
        self._set_clock(float(found[1]))
        return found

    def _now(self) -> float:
        now = self._clock.now()
        return max(self._latest, now) if self._callers_clock else now

    def _set_clock(self, there: float) -> None:
        # An answer is read some time after it was written, so a sample is at most too low;
        # the highest one of late is the best.
        if not self._callers_clock:
            sample = there - self._clock.now()
            is_step = sample < self._offset - STEP
            self._offset = sample if is_step else max(sample, self._offset - DRIFT)
