"""Several workers and one Redis: no cap is passed, whoever comes, goes, or is cut off."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from freellmapi.core.clock import SystemClock
from freellmapi.core.limits import Bucket, Limits, Usage
from freellmapi.core.route import Reservation
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.cluster import ALONE, RETURNING, TOGETHER
from freellmapi.router.ledger import Earlier
from freellmapi.router.rejoin import INTERVAL, Membership, new_name
from freellmapi.router.shared_ledger import SharedLedger
from freellmapi.storage.shared import Shared
from tests.fakes.clock import FrozenClock
from tests.fakes.redis_server import RedisServer, running

NOON = 1_790_000_000.0
NUMBERS = itertools.count()


def bucket(name: str = "b", /, **caps: Any) -> tuple[Bucket, ...]:
    return (Bucket(name, Limits(**caps)),)


@dataclass
class Workers:
    """The workers of one installation, in one time that stands still."""

    redis: RedisServer
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(NOON))
    all: list[tuple[SharedLedger, Membership]] = field(default_factory=list)
    logged: Earlier | None = None
    name: str = field(default_factory=lambda: f"workers{next(NUMBERS)}")

    def joined(self, count: int = 1) -> list[SharedLedger]:
        """So many more."""
        return [self.join()[0] for _ in range(count)]

    def join(self) -> tuple[SharedLedger, Membership]:
        shared = Shared(self.redis.url, self.name, self.clock)
        ledger = SharedLedger(shared, self.clock, new_name(), callers_clock=True)

        def restore() -> None:
            if self.logged is not None:
                ledger.restore(bucket()[0], self.logged, self.clock.now())

        member = Membership(ledger, self.clock, restore)
        member.start()
        self.all.append((ledger, member))
        return ledger, member

    def crash(self, ledger: SharedLedger) -> None:
        """As kill -9: nothing is said, it is only not there any more."""
        self.all = [found for found in self.all if found[0] is not ledger]

    def pass_by(self, seconds: float) -> None:
        """Time, in which everybody looks around twice a second."""
        for _ in range(round(seconds / INTERVAL)):
            self.clock.advance(INTERVAL)
            for _, member in self.all:
                member.tick()

    def take(self, ledger: SharedLedger, of: tuple[Bucket, ...], most: int = 40) -> int:
        """How many calls of one token it gets."""
        return len(self.taken(ledger, of, most))

    def taken(
        self, ledger: SharedLedger, of: tuple[Bucket, ...], most: int = 40
    ) -> list[Reservation]:
        found = (ledger.reserve(of, 1, self.clock.now()) for _ in range(most))
        return [reservation for reservation in found if reservation is not None]

    @property
    def states(self) -> set[str]:
        return {member.state for _, member in self.all}


@pytest.fixture
def workers() -> Workers:
    return Workers(running())


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """One that a test may kill."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


def left(ledger: SharedLedger, of: tuple[Bucket, ...], now: float) -> list[int]:
    return [window.left for window in ledger.headroom(of, now).requests]


def test_what_one_takes_the_other_has_not(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket(rpm=5)
    assert workers.take(one, b, 3) == 3

    assert workers.take(other, b) == 2
    assert workers.take(one, b) == 0


def test_others_use_is_in_the_picture_at_the_next_look(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket(rpm=4, rpd=10)
    workers.take(one, b, 3)
    assert left(other, b, NOON) == [4, 10]

    workers.pass_by(INTERVAL)

    assert left(other, b, NOON) == [1, 7]
    assert other.pressure(b, NOON) == 0.75


def test_who_comes_later_sees_at_once_what_is_used(workers: Workers) -> None:
    b = bucket(rpd=10)
    workers.take(workers.joined()[0], b, 4)

    assert left(workers.joined()[0], b, NOON) == [6]


def test_places_in_the_waiting_line_are_given_once_among_all(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket(rpm=1)
    workers.take(one, b)

    booked = [ledger.book(b, 1, NOON, NOON + 300) for ledger in (other, one, other, one)]

    assert [r.at - NOON if r else None for r in booked] == [62, 124, 186, 248]


def test_an_answer_that_was_lost_is_asked_for_again_without_taking_twice(
    workers: Workers,
) -> None:
    (ledger,) = workers.joined()
    b = bucket(rpm=5)
    for _ in range(3):
        reply = ledger.ask("reserve", b, NOON, id=7, tokens=1)
        assert reply.word == "ok"

    assert left(ledger, b, NOON) == [4]


def test_a_limit_that_one_has_learned_holds_for_all(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket(rpm=30, rpd=100)
    one.observe(b[0], [Observation("rpm", limit=2, remaining=2)], NOON)
    one.observe(b[0], [Observation("rpd", limit=None, remaining=50)], NOON)

    assert workers.take(other, b) == 2
    assert left(other, b, NOON) == [0, 48]


def test_two_that_hear_the_same_count_a_stranger_once(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket(rpd=100)
    for ledger in (one, other):
        ledger.observe(b[0], [Observation("rpd", remaining=60)], NOON)

    assert left(one, b, NOON) == left(other, b, NOON) == [60]


def test_what_has_run_dry_is_closed_for_all(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket()
    one.observe(b[0], [Observation("rpm", remaining=0, resets_in=30)], NOON)

    assert workers.take(other, b) == 0
    assert other.opens_at(b, 1, NOON) == NOON + 30


def test_calls_of_a_crashed_worker_are_no_longer_under_way_but_stay_counted(
    workers: Workers,
) -> None:
    one, other = workers.joined(2)
    b = bucket(concurrency=2, rpd=10)
    assert workers.take(one, b) == 2
    workers.crash(one)
    workers.pass_by(5)
    assert workers.take(other, b) == 0, "it may be no more than held up"

    workers.pass_by(8)

    assert workers.take(other, b) == 2
    assert left(other, b, workers.clock.now()) == [6]


def test_a_long_call_keeps_its_place_as_long_as_its_worker_lives(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket(concurrency=1)
    (call,) = workers.taken(one, b)
    workers.pass_by(600)
    assert workers.take(other, b) == 0

    one.settle(call, Usage(5, 5), spent=True)

    assert workers.take(other, b) == 1


def test_who_was_held_up_for_too_long_has_its_calls_counted_again(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket(concurrency=2)
    workers.taken(one, b, 1)
    held_up = [found for found in workers.all if found[0] is one]
    workers.crash(one)
    workers.pass_by(15)

    workers.all += held_up
    workers.pass_by(6)

    assert workers.states == {TOGETHER}
    assert workers.take(other, b) == 1


def test_everything_in_redis_ends_by_itself(workers: Workers) -> None:
    (ledger,) = workers.joined()
    workers.taken(ledger, bucket(rpm=5, rpd=5))
    workers.pass_by(INTERVAL)
    prefix = ledger.shared.prefix
    keys = workers.redis.command("KEYS", prefix.replace("{", "?").replace("}", "?") + "*")
    assert isinstance(keys, list)

    lives = {
        key.decode().removeprefix(prefix): workers.redis.command("TTL", key.decode())
        for key in keys
    }

    assert {name for name, ttl in lives.items() if ttl == -1} == {"epoch", "seq"}
    assert len(lives) <= 8, "the members, their calls, a lease, and one for each bucket"


def test_an_emptied_redis_is_filled_from_what_the_workers_know(workers: Workers) -> None:
    one, other = workers.joined(2)
    b = bucket(rpm=30, rpd=30, concurrency=20)
    calls = [*workers.taken(one, b, 4), *workers.taken(other, b, 3)]
    one.settle(calls[0], Usage(1, 0), spent=True)
    for key in ("epoch", "seq", "changed", "b:b"):
        workers.redis.command("DEL", one.shared.key(key))

    more = workers.take(one, b, 2)
    workers.pass_by(4)

    assert workers.states == {TOGETHER}
    assert left(one, b, workers.clock.now()) == left(other, b, workers.clock.now())
    assert left(one, b, workers.clock.now()) == [23 - more, 23 - more]
    assert one.tally(b[0], workers.clock.now()).in_flight == 6 + more


def test_an_empty_redis_is_filled_once_from_the_log(workers: Workers) -> None:
    workers.logged = Earlier(((int(NOON) - 5, 2, 20),), (5, 50), (5, 50))

    first, second = workers.joined(2)

    b = bucket(rpm=10, rpd=10)
    assert left(first, b, NOON) == left(second, b, NOON) == [8, 5]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize(
    "caps", [{"rpm": 2}, {"rpm": 20}, {"rpd": 9}, {"concurrency": 7}, {"tpm": 50}], ids=str
)
def test_without_redis_each_keeps_to_its_share(
    redis: RedisServer, caps: dict[str, int], count: int
) -> None:
    workers = Workers(redis)
    ledgers = workers.joined(count)
    b = bucket(**caps)
    before = workers.take(ledgers[0], b, 1)
    workers.pass_by(INTERVAL)
    redis.kill()

    together = before + sum(workers.take(ledger, b, 60) for ledger in ledgers)

    (cap,) = caps.values()
    assert together <= cap
    assert together >= cap - count, "and no more is left lying than a share each, and a doubt"
    workers.pass_by(1)
    assert workers.states == {ALONE}


def test_what_others_took_since_the_last_look_is_allowed_for(redis: RedisServer) -> None:
    workers = Workers(redis)
    one, other = workers.joined(2)
    b = bucket(rpm=12)
    workers.take(one, b, 4)
    workers.pass_by(INTERVAL)
    unseen = workers.take(one, b, 4)
    redis.kill()

    together = 4 + unseen + workers.take(one, b) + workers.take(other, b)

    assert 8 < together <= 12


def test_a_minute_later_the_shares_are_free_again(redis: RedisServer) -> None:
    workers = Workers(redis)
    ledgers = workers.joined(2)
    b = bucket(rpm=10)
    workers.take(ledgers[0], b)
    workers.pass_by(INTERVAL)
    redis.kill()
    assert sum(workers.take(ledger, b) for ledger in ledgers) == 0

    workers.pass_by(62)

    assert [workers.take(ledger, b) for ledger in ledgers] == [5, 5]


@pytest.mark.parametrize("keeps", [True, False], ids=["kept its data", "came back empty"])
def test_when_redis_is_back_all_is_counted_and_nobody_passed_a_cap(keeps: bool) -> None:
    workers = Workers(running())
    ledgers = workers.joined(3)
    b = bucket(rpd=30, concurrency=25)
    calls = [(ledger, call) for ledger in ledgers for call in workers.taken(ledger, b, 3)]
    workers.pass_by(INTERVAL)
    gone(workers)
    if not keeps:
        for key in ("epoch", "seq", "changed", "b:b"):
            workers.redis.command("DEL", ledgers[0].shared.key(key))
    for ledger, call in calls[:5]:
        ledger.settle(call, Usage(1, 0), spent=True)
    alone = [workers.taken(ledger, b) for ledger in ledgers]
    assert 9 < 9 + sum(map(len, alone)) <= 30
    ledgers[0].settle(alone[0][0], None, spent=False)

    workers.pass_by(INTERVAL)
    assert workers.states == {RETURNING}
    workers.pass_by(4)

    assert workers.states == {TOGETHER}
    used = 9 + sum(map(len, alone)) - 1
    for ledger in ledgers:
        assert left(ledger, b, workers.clock.now()) == [30 - used]
        assert ledger.tally(b[0], workers.clock.now()).in_flight == used - 5
    for ledger, call in calls[5:]:
        ledger.settle(call, Usage(1, 0), spent=True)
    for ledger, taken in zip(ledgers, alone, strict=True):
        for call in taken:
            ledger.settle(call, Usage(1, 0), spent=True)
    workers.pass_by(INTERVAL)
    assert ledgers[1].tally(b[0], workers.clock.now()).in_flight == 0
    assert sum(workers.take(ledger, b) for ledger in ledgers) == 30 - used


def gone(workers: Workers) -> None:
    """What a worker sees of a Redis that is gone, without anybody's killing it."""
    for ledger, member in workers.all:
        ledger.shared._gone("it cannot be reached")
        ledger.cut_off()
        member._step = 0


@pytest.mark.parametrize("seed", range(8))
def test_outages_at_any_time_pass_no_cap(seed: int) -> None:
    """Redis goes and comes back, with its data or without, while everybody takes and settles."""
    dice = random.Random(seed)
    workers = Workers(running())
    ledgers = workers.joined(dice.choice([2, 3, 4]))
    b = bucket("model", rpm=12, concurrency=9) + bucket("account", rpd=60)
    calls: list[float] = []
    under_way: list[tuple[SharedLedger, Reservation]] = []
    for _ in range(100):
        dice.shuffle(workers.all)
        for ledger in dice.sample(ledgers, dice.randint(0, len(ledgers))):
            for call in workers.taken(ledger, b, dice.randint(1, 3)):
                calls.append(workers.clock.now())
                under_way.append((ledger, call))
        while under_way and dice.random() < 0.7:
            ledger, call = under_way.pop(dice.randrange(len(under_way)))
            ledger.settle(call, Usage(1, 0), spent=True)
        now = workers.clock.now()
        assert sum(at > now - 60 for at in calls) <= 12
        assert sum(at // 86_400 == now // 86_400 for at in calls) <= 60
        assert len(under_way) <= 9
        if dice.random() < 0.05:
            gone(workers)
            if dice.random() < 0.5:
                for key in ("epoch", "seq", "changed", "b:model", "b:account"):
                    workers.redis.command("DEL", ledgers[0].shared.key(key))
        workers.pass_by(dice.choice([0.25, 0.5, 1, 5]))
    workers.pass_by(5)
    assert workers.states == {TOGETHER}
    for ledger, call in under_way:
        ledger.settle(call, Usage(1, 0), spent=True)
    assert ledgers[0].reserve(b[:1], 1, workers.clock.now() + 70) is not None
    assert ledgers[0].tally(b[0], workers.clock.now()).in_flight == 1


def test_who_starts_without_redis_serves_only_what_has_no_cap(redis: RedisServer) -> None:
    redis.kill()
    workers = Workers(redis)
    (ledger,) = workers.joined()

    assert workers.take(ledger, bucket("free"), 3) == 3
    assert workers.take(ledger, bucket(rpm=100)) == 0

    redis.start()
    workers.pass_by(4)
    assert workers.take(ledger, bucket(rpm=10)) == 10


def test_threads_of_several_workers_never_pass_a_cap() -> None:
    clock = SystemClock()
    b = bucket("model", rpm=50, tpm=3_000, concurrency=12) + bucket("account", rpd=40)
    most: list[int] = []
    taken = itertools.count()

    def work(seed: int) -> int:
        dice, count = random.Random(seed), 0
        shared = Shared(running().url, name, clock)
        ledger = SharedLedger(shared, clock, new_name())
        Membership(ledger, clock, lambda: None).start()
        for _ in range(120):
            call = ledger.reserve(b, 40, clock.now())
            if call is None:
                continue
            next(taken)
            count += 1
            most.append(ledger.tally(b[0], clock.now()).in_flight)
            clock.sleep(dice.random() / 500)
            ledger.settle(call, Usage(30, 10), spent=True)
        shared.close()
        return count

    name = f"threads{next(NUMBERS)}"
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(work, range(8)))

    assert sum(counts) == 40
    assert max(most) <= 12
