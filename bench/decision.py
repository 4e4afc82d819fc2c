"""What deciding costs, in CPU time, whatever stands in the way: whom to ask, or what to say.

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
from freellmapi.core.route import Candidate, Outcome
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.failure import failure
from freellmapi.router.judge import Picture
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.places import Places
from freellmapi.router.plan import plan, roughly
from freellmapi.router.resolve import resolve
from freellmapi.router.settings import RouterSettings
from freellmapi.router.snapshot import LiveKey, Snapshot, merged_chain
from freellmapi.router.waiting import next_slot

TARGET_US = 150.0
"""For the 99th of a hundred decisions."""
MODELS = 200
TURNS = 1_000
MAX_WAIT = 15.0
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
        self.places = Places(self.ledger, self.clock)
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

    def refuse(self) -> None:
        """The decision when nobody can be asked: to wait for a place, or to say until when."""
        picture = Picture(self.snapshot, self.cooldowns, self.ledger, self.clock, {})
        made = plan(CHAT, resolve(CHAT, self.snapshot), picture)
        if any(True for _ in made.candidates):
            raise RuntimeError("somebody can be asked")
        now, places = self.clock.now(), self.places
        skipped = [*made.skipped, *made.at_caps(places.waited_for())]
        wait = next_slot(skipped, (), places, None, lambda _: roughly(CHAT), now, now + MAX_WAIT)
        if wait is None:
            failure(CHAT, Outcome(), skipped, any_key=True, now=now)
        elif wait.place is not None and wait.place.held is not None:
            # It waits no longer than we do, and gives its place back.
            self.ledger.settle(wait.place.held.reservation, None, spent=False)
            self.places = Places(self.ledger, self.clock)

    def bench(self, models: int, begin: int = 0) -> None:
        refused = UpstreamError(ErrorKind.RATE_LIMITED, "too many", retry_after=3_600.0)
        for candidate in self.some(models, begin):
            self.cooldowns.failed(candidate, refused)

    def fill(self, models: int, begin: int = 0) -> None:
        """To the caps of the minute and of the day, by calls in two minutes."""
        for at in (self.clock.now() - 70, self.clock.now()):
            self._fill(models, begin, at)

    def fill_minute(self, models: int) -> None:
        """To the caps of the minute, which ends for one after the other all the time."""
        for begin in range(models):
            self._fill(1, begin, self.clock.now())
            self.clock.sleep(60.0 / models)

    def _fill(self, models: int, begin: int, at: float) -> None:
        for candidate in self.some(models, begin):
            while held := self.ledger.reserve(candidate.buckets, 900, at):
                self.ledger.settle(held, None, spent=True)

    def some(self, models: int, begin: int = 0) -> list[Candidate]:
        chosen = self.snapshot.auto[begin : begin + models]
        return [c for m in chosen for c in self.snapshot.candidates[m.ref]]


def nothing(town: Town) -> None:
    """Every candidate may be asked."""


def mixed(town: Town) -> None:
    """Half of the models benched, half of them at their caps."""
    town.bench(town.models // 2)
    town.fill(town.models // 2, town.models // 2)


def most_mixed(town: Town) -> None:
    town.bench(100)
    town.fill(90, 100)


@dataclass(frozen=True)
class Case:
    """One state, and what is decided in it."""

    name: str
    keys: int
    prepare: Callable[[Town], None]
    decide: Callable[[Town], object] = Town.decide
    pause: float = 0.5
    """Seconds between two decisions."""


CASES = (
    Case("200 models x 5 keys, none closed", 5, nothing),
    Case("the first 150 benched", 5, lambda town: town.bench(150)),
    Case("the first 150 at their caps", 5, lambda town: town.fill(150)),
    Case("200 x 20, none closed", 20, nothing),
    Case("200 x 20, the first 190 at their caps", 20, lambda town: town.fill(190)),
    Case("200 x 20, 100 benched, 90 at their caps", 20, most_mixed),
    Case("200 x 20, all at their caps: refused", 20, lambda town: town.fill(200), Town.refuse),
    Case("200 x 20, 100 benched, 100 at caps: refused", 20, mixed, Town.refuse),
    Case("200 x 20, minutes end in turn: waits", 20, lambda t: t.fill_minute(200), Town.refuse, 0),
)


def measured(town: Town, case: Case, turns: int) -> list[float]:
    """CPU microseconds of each decision."""
    took = []
    for _ in range(turns):
        town.clock.sleep(case.pause)
        began = time.thread_time_ns()
        case.decide(town)
        took.append((time.thread_time_ns() - began) / 1_000)
    return took


def table(turns: int) -> list[tuple[str, float, float]]:
    """(case, median, 99th percentile) in microseconds; the first decision is left out."""
    rows = []
    for case in CASES:
        town = Town(MODELS, case.keys)
        case.prepare(town)
        case.decide(town)
        took = measured(town, case, turns)
        rows.append((case.name, median(took), quantiles(took, n=100)[98]))
    return rows


def main(turns: int = TURNS) -> int:
    """Print the table; 1 if any is over the target."""
    rows = table(turns)
    print("| decision, CPU | median us | p99 us |\n| --- | ---: | ---: |")
    for name, middle, worst in rows:
        print(f"| {name} | {middle:.0f} | {worst:.0f} |")
    return int(any(worst > TARGET_US for _, _, worst in rows))


if __name__ == "__main__":
    raise SystemExit(main())
