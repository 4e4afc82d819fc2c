"""Waiting for a slot: the soonest one, bounded, first come first served."""

from __future__ import annotations

import pytest

from freellmapi.core.cancel import Cancellation
from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Limits
from freellmapi.core.route import Attempt, Candidate, Gate, Skipped
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.line import Line
from freellmapi.router.places import Places
from freellmapi.router.waiting import SOON, Wait, next_slot, wait_for, wait_until
from tests.fakes.clock import FrozenClock
from tests.router.conftest import candidate, model

NOW = 1_790_000_000.0


def full(ledger: MemoryLedger, at: float, rpm: int = 1, key: str = "1") -> Candidate:
    """A candidate whose cap was used up at that time."""
    found = candidate(serves=model(limits=Limits(rpm=rpm)), key=key)
    for _ in range(rpm):
        assert ledger.reserve(found.buckets, 5, at)
    return found


def at_its_cap(found: Candidate, ledger: MemoryLedger, now: float = NOW) -> Skipped:
    opens = ledger.opens_at(found.buckets, 5, now)
    return Skipped(found.ref, found.key_id, Gate.HEADROOM, "at its cap", opens, candidate=found)


def limited(opens_at: float | None, kind: ErrorKind = ErrorKind.RATE_LIMITED) -> Attempt:
    return Attempt("beta", "m", "1", NOW, 0.1, error=kind, opens_at=opens_at)


def slot(
    skipped: list[Skipped],
    attempts: list[Attempt],
    ledger: MemoryLedger,
    max_wait: float = 15,
) -> Wait | None:
    places = Places(ledger, FrozenClock())
    return next_slot(skipped, attempts, places, None, lambda _: 5, NOW, NOW + max_wait)


def held_at(wait: Wait) -> float:
    assert wait.place is not None
    assert wait.place.held is not None
    return wait.place.held.reservation.at


def test_a_slot_under_a_cap_is_booked() -> None:
    ledger = MemoryLedger()
    found = full(ledger, NOW - 55)
    wait = slot([at_its_cap(found, ledger)], [], ledger)
    assert wait is not None
    assert wait.place is not None
    assert wait.place.candidate is found
    assert NOW + 5 <= held_at(wait) <= NOW + 8


def test_who_comes_later_waits_longer_or_is_told_so() -> None:
    ledger = MemoryLedger()
    found = full(ledger, NOW - 55)
    first = slot([at_its_cap(found, ledger)], [], ledger)
    assert first is not None
    assert slot([at_its_cap(found, ledger)], [], ledger) is None
    second = slot([at_its_cap(found, ledger)], [], ledger, max_wait=100)
    assert second is not None
    assert held_at(second) > held_at(first) + 59


def test_who_was_overtaken_at_the_last_place_does_not_wait_for_it() -> None:
    ledger = MemoryLedger()
    seen_by_both = at_its_cap(full(ledger, NOW - 55), ledger)
    first = slot([seen_by_both], [], ledger)
    assert first is not None
    assert first.place is not None
    assert slot([seen_by_both], [], ledger) == Wait(NOW + SOON)


def test_the_soonest_key_is_chosen() -> None:
    ledger = MemoryLedger()
    soon, late = full(ledger, NOW - 58, key="2"), full(ledger, NOW - 50, key="1")
    wait = slot([at_its_cap(late, ledger), at_its_cap(soon, ledger)], [], ledger)
    assert wait is not None
    assert wait.place is not None
    assert wait.place.candidate.key_id == "2"


def test_a_stated_wait_is_waited_out() -> None:
    assert slot([], [limited(NOW + 2)], MemoryLedger()) == Wait(NOW + 2)


@pytest.mark.parametrize(
    "attempts",
    [
        [],
        [limited(None)],
        [limited(NOW + 16)],
        [limited(NOW + 2, ErrorKind.KEY_REJECTED)],
        [limited(NOW + 2, ErrorKind.MODEL_GONE)],
    ],
    ids=["nothing to wait for", "no time stated", "too long", "a bad key", "a gone model"],
)
def test_nothing_is_waited_for_that_would_not_help(attempts: list[Attempt]) -> None:
    assert slot([], attempts, MemoryLedger()) is None


def test_calls_under_way_are_waited_for_in_line() -> None:
    ledger = MemoryLedger()
    found = candidate(serves=model(limits=Limits(concurrency=1)))
    held = ledger.reserve(found.buckets, 5, NOW)
    assert held
    wait = slot([at_its_cap(found, ledger)], [], ledger)
    assert wait == Wait(NOW + 15, in_line=(found,))
    ledger.settle(held, None, spent=True)
    clock = FrozenClock()
    booked = wait_for(wait, Line(), Places(ledger, clock), None, lambda _: 5, clock, Cancellation())
    assert booked is not None
    assert booked.candidate is found


def test_the_line_is_left_when_something_else_opens() -> None:
    ledger = MemoryLedger()
    busy = candidate(serves=model(limits=Limits(concurrency=1)), key="2")
    at_cap = full(ledger, NOW - 55)
    assert ledger.reserve(busy.buckets, 5, NOW)
    wait = slot([at_its_cap(busy, ledger), at_its_cap(at_cap, ledger)], [], ledger)
    assert wait is not None
    assert wait.in_line == (busy,)
    assert NOW + 5 <= wait.until <= NOW + 8


def test_a_wait_ends_when_the_client_leaves() -> None:
    clock, cancel = FrozenClock(), Cancellation()
    wait_until(clock, clock.now() + 10, cancel)
    assert clock.now() == FrozenClock().now() + 10
    cancel.cancel()
    before = clock.now()
    wait_until(clock, before + 10, cancel)
    assert clock.now() == before


def test_a_wait_that_is_over_gives_no_more_time() -> None:
    over = [limited(NOW - 3)]
    assert slot([], over, MemoryLedger(), max_wait=1) == Wait(NOW + SOON)
    assert slot([], over, MemoryLedger(), max_wait=0) is None
    assert slot([], over, MemoryLedger(), max_wait=-3) is None
