"""Places before a cap: clients have them in turn, and nobody makes a call that was not booked."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from greenlet import getcurrent, greenlet
from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.core.cancel import Cancellation
from freellmapi.core.limits import Limits, Usage
from freellmapi.core.route import Candidate, Gate, Reservation, Skipped
from freellmapi.router.ledger import Ledger
from freellmapi.router.line import Line
from freellmapi.router.places import Places
from freellmapi.router.waiting import next_slot, wait_for
from tests.fakes.clock import FrozenClock
from tests.router.conftest import candidate, model
from tests.router.ledgers import LEDGERS, NewLedger, memory, open_ids

FLOOD, OTHER = 1, 2
MINUTE = 62
"""Seconds for which a call counts here."""


class Theatre(FrozenClock):
    """A clock on which many sleep at once; who is due first is woken first."""

    def __init__(self) -> None:
        super().__init__()
        self._sleeping: list[tuple[float, int, greenlet]] = []
        self._numbers = itertools.count()

    def sleep(self, seconds: float) -> None:
        self._put_off(self.monotonic() + seconds, getcurrent())
        getcurrent().parent.switch()

    def begin(self, at: float, job: Callable[[], None]) -> None:
        self._put_off(at, greenlet(job))

    def play(self) -> None:
        """Until nobody sleeps any more."""
        while self._sleeping:
            at, _, who = heapq.heappop(self._sleeping)
            self.advance(max(0.0, at - self.monotonic()))
            who.parent = getcurrent()
            who.switch()

    def _put_off(self, at: float, who: greenlet) -> None:
        heapq.heappush(self._sleeping, (at, next(self._numbers), who))


@dataclass
class Call:
    client: int
    came: float
    asked: float | None = None
    """When it was its turn; None if it gave up."""


@dataclass
class House:
    """One candidate, and requests that do as the gateway does: wait, look again, give up."""

    ledger: Ledger
    found: Candidate
    clock: Theatre = field(default_factory=Theatre)
    lasts: float = 0.0
    """Seconds of each call."""
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places, self.line = Places(self.ledger, self.clock), Line()

    def ask(
        self, client: int, tokens: int = 5, patience: float = 600, leaves: float | None = None
    ) -> None:
        """One request, now or when this is played; ``leaves`` after so many seconds."""
        call, cancel = Call(client, self.clock.monotonic()), Cancellation()
        self.calls.append(call)
        if leaves is not None:
            self.clock.begin(call.came + leaves, cancel.cancel)
        reservation = self._reservation(client, tokens, call.came + patience, cancel)
        if reservation is None:
            return
        if cancel.cancelled:
            self.ledger.settle(reservation, None, spent=False)
            return
        call.asked = self.clock.monotonic()
        if self.lasts:
            self.clock.sleep(self.lasts)
        self.ledger.settle(reservation, Usage(tokens, 0), spent=True)

    def _reservation(
        self, client: int, tokens: int, give_up: float, cancel: Cancellation
    ) -> Reservation | None:
        while True:
            now = self.clock.now()
            if self.line.is_free(self.found):
                found = self.ledger.reserve(self.found.buckets, tokens, now)
                if found is not None:
                    return found
            found = self._waited(client, tokens, now + give_up - self.clock.monotonic(), cancel)
            if found is not None or cancel.cancelled or self.clock.monotonic() >= give_up - 0.1:
                return found

    def _waited(
        self, client: int, tokens: int, latest: float, cancel: Cancellation
    ) -> Reservation | None:
        now = self.clock.now()
        opens = self.ledger.opens_at(self.found.buckets, tokens, now)
        capped = Skipped(self.found.ref, "1", Gate.HEADROOM, "", opens, candidate=self.found)
        wait = next_slot([capped], [], self.places, client, lambda _: tokens, now, latest)
        if wait is None:
            self.clock.sleep(max(0.0, latest - now))
            return None
        booked = wait_for(
            wait, self.line, self.places, client, lambda _: tokens, self.clock, cancel
        )
        return None if booked is None else booked.reservation

    def waits(self, client: int) -> list[float]:
        return [c.asked - c.came for c in self.calls if c.client == client and c.asked is not None]


def house(new: NewLedger, lasts: float = 0.0, **caps: int) -> House:
    return House(new(), candidate(serves=model(limits=Limits(**caps))), lasts=lasts)


@pytest.mark.parametrize("new", LEDGERS)
def test_a_flood_costs_another_client_a_turn_for_each_place(new: NewLedger) -> None:
    there = house(new, rpm=10)
    begin = there.clock.monotonic()
    for n in range(200):
        # Ten are asked at once; then one place every six seconds or so opens.
        there.clock.begin(begin + min(n, 10) * 6, lambda: there.ask(FLOOD, patience=1_500))
    for _ in range(5):
        there.clock.begin(begin + 70, lambda: there.ask(OTHER, patience=1_500))
    there.clock.play()
    assert len(there.waits(OTHER)) == 5
    for turn, waited in enumerate(sorted(there.waits(OTHER)), start=1):
        assert waited <= 2 * turn * (MINUTE / 10) + 2, "every other place is theirs"
    assert len(there.waits(FLOOD)) == 200
    assert max(there.waits(FLOOD)) > 1_000
    asked = [c.asked for c in there.calls if c.client == FLOOD and c.asked is not None]
    assert asked == sorted(asked), "among its own, who came first"
    assert not open_ids(there.ledger)  # type: ignore[arg-type]


@pytest.mark.parametrize("new", LEDGERS)
def test_when_all_places_are_booked_who_has_most_makes_room(new: NewLedger) -> None:
    there = house(new, rpm=10)
    begin = there.clock.monotonic()
    for _ in range(40):
        there.clock.begin(begin, lambda: there.ask(FLOOD, patience=100))
    there.clock.begin(begin + 1, lambda: there.ask(OTHER, patience=100))
    there.clock.play()
    assert len(there.waits(OTHER)) == 1
    assert there.waits(OTHER)[0] < MINUTE + 1
    assert len(there.waits(FLOOD)) == 19


@pytest.mark.parametrize("new", LEDGERS)
def test_calls_under_way_are_followed_in_turn(new: NewLedger) -> None:
    there = house(new, lasts=1.0, concurrency=2)
    begin = there.clock.monotonic()
    for _ in range(200):
        there.clock.begin(begin, lambda: there.ask(FLOOD))
    for _ in range(5):
        there.clock.begin(begin + 0.5, lambda: there.ask(OTHER))
    there.clock.play()
    assert len(there.waits(OTHER)) == 5
    for turn, waited in enumerate(sorted(there.waits(OTHER)), start=1):
        assert waited <= turn * 1.1 + 1
    assert max(there.waits(FLOOD)) > 95


def test_a_call_too_large_for_a_place_waits_for_its_own() -> None:
    there = house(memory, rpm=10, tpm=1_000)
    begin = there.clock.monotonic()
    for _ in range(30):
        there.clock.begin(begin, lambda: there.ask(FLOOD, tokens=10))
    there.clock.begin(begin + 1, lambda: there.ask(OTHER, tokens=500))
    there.clock.play()
    assert len(there.waits(OTHER)) == 1
    assert there.waits(OTHER)[0] > 2 * MINUTE


requests = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.sampled_from([1, 1, 1, 2, 3]),
        st.integers(1, 60),
        st.integers(0, 150),
        st.none() | st.integers(0, 100),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(requests, st.integers(1, 6), st.none() | st.integers(60, 200), st.none() | st.integers(1, 3))
def test_whoever_comes_and_goes_no_cap_is_passed_and_nothing_is_left(
    who: list[tuple[int, int, int, int, int | None]],
    rpm: int,
    tpm: int | None,
    concurrency: int | None,
) -> None:
    caps = {"rpm": rpm, "tpm": tpm, "concurrency": concurrency}
    there = house(memory, lasts=2.0, **{k: v for k, v in caps.items() if v is not None})
    begin, used = there.clock.monotonic(), dict[int, int]()

    def ask(number: int, client: int, tokens: int, patience: int, leaves: int | None) -> None:
        before = len(there.calls)
        there.ask(client, tokens, patience, leaves)
        used[before] = tokens

    for number, (at, client, tokens, patience, leaves) in enumerate(who):
        args = (number, client, tokens, patience, leaves)
        there.clock.begin(begin + at, lambda args=args: ask(*args))  # type: ignore[misc]
    there.clock.play()
    assert not open_ids(there.ledger)  # type: ignore[arg-type]
    assert not there.places._lines
    asked = sorted(
        (call.asked, used[n]) for n, call in enumerate(there.calls) if call.asked is not None
    )
    for start, _ in asked:
        minute = [tokens for at, tokens in asked if start <= at < start + 60]
        assert len(minute) <= rpm
        assert tpm is None or sum(minute) <= tpm
        assert concurrency is None or sum(start <= at < start + 2 for at, _ in asked) <= concurrency
