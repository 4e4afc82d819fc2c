"""What one worker has benched or lifted is so for all, and conversations keep their model."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from freellmapi.core.errors import ErrorKind
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.counter import NEVER
from freellmapi.router.noticeboard import Noticeboard
from freellmapi.router.rejoin import Membership, new_name
from freellmapi.router.shared_benches import share_benches
from freellmapi.router.shared_ledger import SharedLedger
from freellmapi.router.shared_sticky import SharedSticky
from freellmapi.router.sticky import Session
from freellmapi.storage.shared import Shared
from tests.fakes.clock import FrozenClock
from tests.fakes.redis_server import running
from tests.router.conftest import candidate, failed

NUMBERS = itertools.count()
CANDIDATE = candidate()


@dataclass
class Worker:
    shared: Shared
    cooldowns: Cooldowns
    sticky: SharedSticky
    member: Membership


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def pair(clock: FrozenClock) -> tuple[Worker, Worker]:
    name = f"benches{next(NUMBERS)}"
    return worker(name, clock), worker(name, clock)


def worker(name: str, clock: FrozenClock) -> Worker:
    shared = Shared(running().url, name, clock)
    board, cooldowns = Noticeboard(shared), Cooldowns(clock)
    share_benches(cooldowns, board, clock)
    ledger = SharedLedger(shared, clock, new_name(), callers_clock=True)
    member = Membership(ledger, clock, lambda: None, board)
    member.start()
    return Worker(shared, cooldowns, SharedSticky(shared), member)


def test_a_bench_of_one_holds_for_the_other(
    pair: tuple[Worker, Worker], clock: FrozenClock
) -> None:
    one, other = pair
    benched = one.cooldowns.failed(CANDIDATE, failed(ErrorKind.RATE_LIMITED, retry_after=30))
    assert other.cooldowns.blocking(CANDIDATE, clock.now()) is None

    other.member.tick()

    assert other.cooldowns.blocking(CANDIDATE, clock.now()) == benched
    clock.advance(31)
    assert other.cooldowns.blocking(CANDIDATE, clock.now()) is None


def test_a_rejected_key_is_benched_for_all_until_one_lifts_it(
    pair: tuple[Worker, Worker], clock: FrozenClock
) -> None:
    one, other = pair
    one.cooldowns.failed(CANDIDATE, failed(ErrorKind.KEY_REJECTED))
    other.member.tick()
    (name,) = other.cooldowns.entries()
    found = other.cooldowns.blocking(CANDIDATE, clock.now())
    assert found is not None
    assert found.until == NEVER

    for worker in pair:
        worker.cooldowns.changed.clear()
    other.cooldowns.clear(name, ErrorKind.KEY_REJECTED)
    one.member.tick()

    assert one.cooldowns.blocking(CANDIDATE, clock.now()) is None
    assert one.cooldowns.changed == other.cooldowns.changed == {name}


def test_the_ladder_is_climbed_together(pair: tuple[Worker, Worker], clock: FrozenClock) -> None:
    one, other = pair
    waits = []
    for turn in (one, other, one, other):
        entry = turn.cooldowns.failed(CANDIDATE, failed(ErrorKind.SERVER_ERROR))
        assert entry is not None
        waits.append(entry.until - clock.now())
        for _ in range(int(waits[-1]) + 1):
            clock.advance(1)
            for each in pair:
                each.member.tick()

    assert waits == [0, 5, 10, 20]


def test_what_one_says_itself_is_not_told_to_it(
    pair: tuple[Worker, Worker], clock: FrozenClock
) -> None:
    one, _ = pair
    one.cooldowns.failed(CANDIDATE, failed(ErrorKind.SERVER_ERROR))
    clock.advance(1)
    one.cooldowns.failed(CANDIDATE, failed(ErrorKind.SERVER_ERROR))
    clock.advance(6)
    one.cooldowns.begin(CANDIDATE)

    one.member.tick()

    assert one.cooldowns.blocking(CANDIDATE, clock.now()) is not None, "it is on trial"


def test_a_conversation_keeps_its_model_at_every_worker(
    pair: tuple[Worker, Worker], clock: FrozenClock
) -> None:
    one, other = pair
    session = Session(b"0123456789abcdef", continued=True)
    one.sticky.remember(session, "alpha/m", clock.now(), 1800)
    assert other.sticky.model(session, clock.now()) == "alpha/m"

    other.sticky.remember(session, "beta/m", clock.now(), 1800)

    assert one.sticky.model(session, clock.now()) == "beta/m"
    assert one.sticky.model(Session(b"another", continued=True), clock.now()) is None
    assert one.sticky.model(Session(session.id, continued=False), clock.now()) is None


def test_without_redis_each_remembers_its_own(
    pair: tuple[Worker, Worker], clock: FrozenClock
) -> None:
    one, other = pair
    session = Session(b"0123456789abcdef", continued=True)
    one.sticky.remember(session, "alpha/m", clock.now(), 1800)
    for each in pair:
        each.shared._gone("it cannot be reached")

    assert one.sticky.model(session, clock.now()) == "alpha/m"
    assert other.sticky.model(session, clock.now()) is None
    one.cooldowns.failed(CANDIDATE, failed(ErrorKind.RATE_LIMITED))
    assert one.cooldowns.blocking(CANDIDATE, clock.now()) is not None


def test_a_lease_has_one_holder_at_a_time(pair: tuple[Worker, Worker]) -> None:
    one, other = pair
    assert one.member.lease("jobs", 30)
    assert one.member.lease("jobs", 30)

    assert not other.member.lease("jobs", 30)
    one.shared.release("jobs", one.member._name)
    assert other.member.lease("jobs", 30)
