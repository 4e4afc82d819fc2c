"""The line before calls under way: in turn, and never held up by who has left it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freellmapi.core.cancel import Cancellation
from freellmapi.core.limits import Limits
from freellmapi.core.route import Candidate, Reservation
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.line import Line
from tests.fakes.clock import FrozenClock
from tests.router.conftest import candidate, model, provider


class Meanwhile(FrozenClock):
    """A clock on which something happens during each sleep."""

    def __init__(self, *happenings: Callable[[], object]) -> None:
        super().__init__()
        self.happenings = list(happenings)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.happenings:
            self.happenings.pop(0)()


def busy(name: str = "alpha", calls: int = 1) -> tuple[Candidate, MemoryLedger, Reservation]:
    """A candidate that may be asked once at a time, and is."""
    ledger = MemoryLedger()
    serves = model(name, limits=Limits(concurrency=calls))
    found = candidate(provider(name), serves)
    held = [ledger.reserve(found.buckets, 5, FrozenClock().now()) for _ in range(calls)]
    assert held[0] is not None
    return found, ledger, held[0]


def waits(
    line: Line, clock: FrozenClock, ledger: MemoryLedger, *candidates: Candidate
) -> tuple[Candidate, Reservation] | None:
    return line.slot(candidates, None, lambda _: 5, ledger, clock, clock.now() + 1, Cancellation())


def test_the_slot_of_a_call_that_ends_is_taken() -> None:
    found, ledger, held = busy()
    clock, line = Meanwhile(lambda: ledger.settle(held, None, spent=True)), Line()
    slot = waits(line, clock, ledger, found)
    assert slot is not None
    assert slot[0] is found
    assert line.is_free(found), "it is no longer in the line"


def test_who_comes_later_comes_after() -> None:
    found, ledger, held = busy()
    order: list[str] = []

    def second() -> None:
        assert not line.is_free(found), "the plan of a newcomer passes it by"
        ledger.settle(held, None, spent=True)
        # While the first one is there, its free slot is not for the second.
        if waits(line, FrozenClock(), ledger, found) is not None:
            order.append("second")

    line = Line()
    if waits(line, Meanwhile(second), ledger, found) is not None:
        order.append("first")
    assert order == ["first"]


def test_it_is_left_when_the_time_is_over() -> None:
    found, ledger, _ = busy()
    line, clock = Line(), FrozenClock()
    began = clock.now()
    assert waits(line, clock, ledger, found) is None
    assert clock.now() - began == pytest.approx(1, abs=0.1)
    assert line.is_free(found)


def test_it_is_left_when_the_client_leaves() -> None:
    found, ledger, _ = busy()
    line, cancel = Line(), Cancellation()
    clock = Meanwhile(cancel.cancel)
    began = clock.now()
    assert line.slot([found], None, lambda _: 5, ledger, clock, began + 60, cancel) is None
    assert clock.now() - began < 1
    assert line.is_free(found)


def test_another_candidate_has_a_line_of_its_own() -> None:
    found, ledger, _ = busy()
    other, uncapped = busy("beta")[0], candidate()
    line = Line()
    seen: list[bool] = []
    clock = Meanwhile(lambda: seen.extend([line.is_free(other), line.is_free(uncapped)]))
    waits(line, clock, ledger, found)
    assert seen == [True, True]


def test_whichever_of_several_is_free_first_is_taken() -> None:
    found, ledger, held = busy(calls=2)
    blocked = candidate(provider("beta"), model("beta", limits=Limits(concurrency=1)))
    assert ledger.reserve(blocked.buckets, 5, FrozenClock().now())
    clock = Meanwhile(lambda: ledger.settle(held, None, spent=True))
    slot = waits(Line(), clock, ledger, blocked, found)
    assert slot is not None
    assert slot[0] is found
