"""What deciding costs: plan and reserve, in CPU time, whatever stands in the way.

Nothing is sent. The state is made as real calls would leave it: windows filled by
reservations that were settled, benches by failures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles

from freellmapi.core.catalog import Catalog, Model, Provider
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Limits, Usage
from freellmapi.core.route import Candidate
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.judge import Picture
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.plan import plan, roughly
from freellmapi.router.resolve import resolve
from freellmapi.router.settings import RouterSettings
from freellmapi.router.snapshot import LiveKey, Snapshot, merged_chain

TARGET_US = 100.0
BLOCKED = 150
NOON = 1_790_000_000.0
CAPS = Limits(rpm=30, rpd=60, tpm=30_000, tpd=1_000_000)
CHAT = ChatRequest(
    "auto", {"messages": [{"role": "user", "content": "hello"}]}, prompt_tokens=10, max_tokens=100
)


class StoppedClock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Town:
    """A router's state over so many models, each with so many keys."""

    models: int
    keys: int

    def __post_init__(self) -> None:
        self.clock = StoppedClock()
        self.ledger = MemoryLedger()
        self.cooldowns = Cooldowns(self.clock)
        names = [f"p{n}" for n in range(max(1, self.models // 10))]
        models = [
            Model(names[n % len(names)], f"m{n}", f"M{n}", f"m{n}", context=100_000, limits=CAPS)
            for n in range(self.models)
        ]
        providers = [Provider(name, name, f"https://{name}.example/v1") for name in names]
        catalog = Catalog(providers, models)
        live = [LiveKey(str(k), name) for name in names for k in range(self.keys)]
        chain = merged_chain(catalog, ())
        self.snapshot = Snapshot.of(1, catalog, chain, live, RouterSettings())

    def decide(self) -> Candidate | None:
        """One decision: the plan, and a place at the first candidate that has one."""
        picture = Picture(self.snapshot, self.cooldowns, self.ledger, self.clock, {})
        for candidate in plan(CHAT, resolve(CHAT, self.snapshot), picture).candidates:
            tokens = roughly(CHAT)
            held = self.ledger.reserve(candidate.buckets, tokens, self.clock.now())
            if held is not None:
                self.ledger.settle(held, Usage(10, 0), spent=True)
                return candidate
        return None

    def bench(self, models: int) -> None:
        refused = UpstreamError(ErrorKind.RATE_LIMITED, "too many", retry_after=3_600.0)
        for candidate in self.first(models):
            self.cooldowns.failed(candidate, refused)

    def fill(self, models: int) -> None:
        """To the caps of the minute and of the day, by calls in two minutes."""
        for candidate in self.first(models):
            for at in (self.clock.now() - 70, self.clock.now()):
                while held := self.ledger.reserve(candidate.buckets, 900, at):
                    self.ledger.settle(held, None, spent=True)

    def first(self, models: int) -> list[Candidate]:
        return [c for m in self.snapshot.auto[:models] for c in self.snapshot.candidates[m.ref]]


def nothing(town: Town) -> None:
    """Every candidate may be asked."""


CASES: dict[str, tuple[int, int, Callable[[Town], None]]] = {
    "200 models x 5 keys": (200, 5, nothing),
    "the first 150 benched": (200, 5, lambda town: town.bench(BLOCKED)),
    "the first 150 at their caps": (200, 5, lambda town: town.fill(BLOCKED)),
    "all 200 x 20 at their caps": (200, 20, lambda town: town.fill(200)),
}


def measured(town: Town, turns: int, pause: float = 0.5) -> list[float]:
    """CPU microseconds of each decision, half a second apart."""
    took = []
    for _ in range(turns):
        town.clock.sleep(pause)
        began = time.thread_time_ns()
        town.decide()
        took.append((time.thread_time_ns() - began) / 1_000)
    return took


def table(turns: int) -> list[tuple[str, float, float]]:
    """(case, median, 99th percentile) in microseconds; the first decision is left out."""
    rows = []
    for name, (models, keys, prepare) in CASES.items():
        town = Town(models, keys)
        prepare(town)
        town.decide()
        took = measured(town, turns)
        rows.append((name, median(took), quantiles(took, n=100)[98]))
    return rows


def main(turns: int = 300) -> int:
    """Print the table; 1 if a median of 200 x 5 is over the target."""
    rows = table(turns)
    print("| plan + reserve, CPU | median us | p99 us |\n| --- | ---: | ---: |")
    for name, middle, worst in rows:
        print(f"| {name} | {middle:.0f} | {worst:.0f} |")
    return int(any(middle > TARGET_US for name, middle, _ in rows[:3]))


if __name__ == "__main__":
    raise SystemExit(main())
