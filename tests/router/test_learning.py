"""What headers and error bodies teach the ledger, and what they must not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from freellmapi.core.limits import NO_LIMITS, Limits
from freellmapi.core.route import Candidate
from freellmapi.providers.ratelimit_headers import Observation, Window
from freellmapi.router.learning import REMEMBERED, learn
from freellmapi.router.ledger import MemoryLedger
from tests.router.conftest import candidate, model, provider

NOON = 1_790_000_000.0


def one(account: Limits | None = None, **caps: int) -> Candidate:
    return candidate(provider(account_limits=account or NO_LIMITS), model(limits=Limits(**caps)))


def say(
    ledger: MemoryLedger, of: Candidate, window: Window, at: float = NOON, **fields: Any
) -> None:
    sent_at = fields.pop("sent_at", None)
    learn(ledger, of, [Observation(window, **fields)], at, sent_at)


def caps(ledger: MemoryLedger, of: Candidate, at: float = NOON) -> dict[str, list[int]]:
    room = ledger.headroom(of.buckets, at)
    return {"requests": [w.cap for w in room.requests], "tokens": [w.cap for w in room.tokens]}


def left(ledger: MemoryLedger, of: Candidate, at: float = NOON) -> list[int]:
    room = ledger.headroom(of.buckets, at)
    return [w.left for w in room.requests + room.tokens]


@pytest.mark.parametrize(
    ("own", "stated", "in_force"),
    [(30, 10, [10]), (30, 60, [30]), (None, 10, [10]), (30, 0, [30])],
    ids=["lower", "higher", "where there was none", "nothing at all"],
)
def test_a_stated_limit_only_lowers(own: int | None, stated: int, in_force: list[int]) -> None:
    ledger, of = MemoryLedger(), one(None, **({} if own is None else {"rpm": own}))
    say(ledger, of, "rpm", limit=stated)
    assert caps(ledger, of)["requests"] == in_force


def test_a_limit_holds_as_long_as_it_is_seen() -> None:
    ledger, of = MemoryLedger(), one(rpm=30)
    say(ledger, of, "rpm", limit=10)
    say(ledger, of, "rpm", at=NOON + 1000, limit=10)

    assert caps(ledger, of, NOON + REMEMBERED + 999)["requests"] == [10]
    assert caps(ledger, of, NOON + REMEMBERED + 1000)["requests"] == [30]


def test_the_latest_limit_stands() -> None:
    ledger, of = MemoryLedger(), one(rpm=30)
    for stated, in_force in ((10, 10), (20, 20), (5, 5), (60, 30)):
        say(ledger, of, "rpm", limit=stated)
        assert caps(ledger, of)["requests"] == [in_force]


def test_a_limit_outlives_a_change_of_the_configuration() -> None:
    ledger = MemoryLedger()
    say(ledger, one(rpm=30), "rpm", limit=10)
    assert caps(ledger, one(rpm=40))["requests"] == [10]
    assert caps(ledger, one(rpm=5))["requests"] == [5]


def test_a_window_of_the_account_is_learned_there() -> None:
    ledger, of = MemoryLedger(), one(Limits(rpd=50), rpm=20)
    say(ledger, of, "rpd", limit=40, remaining=25)
    say(ledger, of, "rpm", limit=10)

    assert caps(ledger, of)["requests"] == [10, 40]
    sister = candidate(provider(account_limits=Limits(rpd=50)), model(id="other"))
    assert left(ledger, sister) == [25]


@pytest.mark.parametrize(
    ("window", "caps", "remaining", "later", "again"),
    [
        ("rpm", {"rpm": 10}, 4, 62, 10),
        ("tpm", {"tpm": 1000}, 400, 62, 1000),
        ("rpd", {"rpd": 10}, 4, 86_400, 10),
        ("tpd", {"tpd": 1000}, 400, 86_400, 1000),
        ("month_requests", {"requests_per_month": 10}, 4, 32 * 86_400, 10),
        ("month_tokens", {"tokens_per_month": 1000}, 400, 32 * 86_400, 1000),
    ],
    ids=lambda value: str(value),
)
def test_what_others_use_is_counted_until_its_window_ends(
    window: Window, caps: dict[str, int], remaining: int, later: int, again: int
) -> None:
    ledger, of = MemoryLedger(), one(None, **caps)
    say(ledger, of, window, remaining=remaining)
    assert left(ledger, of) == [remaining]
    say(ledger, of, window, remaining=remaining)
    assert left(ledger, of) == [remaining], "it is not counted twice"
    assert left(ledger, of, NOON + later) == [again]


def test_more_left_than_we_think_gives_nothing_back() -> None:
    ledger, of = MemoryLedger(), one(rpm=10)
    for _ in range(3):
        ledger.reserve(of.buckets, 1, NOON)
    say(ledger, of, "rpm", remaining=9)
    assert left(ledger, of) == [7], "two of the calls have not arrived there yet"


def test_estimates_that_differ_are_not_other_users() -> None:
    ledger, of = MemoryLedger(), one(tpm=1000)
    say(ledger, of, "tpm", remaining=951, resets_in=30)
    assert left(ledger, of) == [1000]


def test_an_answer_that_took_long_says_nothing_of_the_minute() -> None:
    ledger, of = MemoryLedger(), one(rpm=10, rpd=100)
    ledger.headroom(of.buckets, NOON - 30)
    say(ledger, of, "rpm", remaining=0, resets_in=50, sent_at=NOON - 30)
    assert left(ledger, of) == [10, 100]
    say(ledger, of, "rpd", remaining=40, sent_at=NOON - 30)
    assert left(ledger, of) == [10, 40]


def test_an_answer_from_before_midnight_says_nothing_of_the_day() -> None:
    ledger, of = MemoryLedger(), one(rpd=100)
    midnight = NOON // 86_400 * 86_400 + 86_400
    ledger.headroom(of.buckets, midnight - 5)
    say(ledger, of, "rpd", at=midnight + 5, remaining=0, sent_at=midnight - 5)
    assert left(ledger, of, midnight + 5) == [100]


def test_nothing_left_of_a_cap_we_do_not_know_closes_until_the_reset() -> None:
    ledger, of = MemoryLedger(), one(rpm=10)
    say(ledger, of, "tpd", remaining=0, resets_in=400)

    assert ledger.reserve(of.buckets, 1, NOON + 399) is None
    assert ledger.opens_at(of.buckets, 1, NOON) == NOON + 400
    booked = ledger.book(of.buckets, 1, NOON + 390, NOON + 405)
    assert booked is not None
    assert booked.at == NOON + 400


def test_what_we_used_up_ourselves_opens_as_we_counted_it() -> None:
    ledger, of = MemoryLedger(), one(rpm=2)
    for at in (NOON, NOON + 30):
        ledger.reserve(of.buckets, 1, at)
    say(ledger, of, "rpm", at=NOON + 31, remaining=0, resets_in=60)
    assert ledger.opens_at(of.buckets, 1, NOON + 31) == NOON + 62


def test_an_absurd_reset_does_not_close_for_ever() -> None:
    ledger, of = MemoryLedger(), one()
    say(ledger, of, "rpm", remaining=0, resets_in=1e9)
    assert ledger.opens_at(of.buckets, 1, NOON) == NOON + 120


def test_what_is_known_already_costs_little() -> None:
    ledger, of = MemoryLedger(), one(rpm=30, rpd=1000, tpm=6000)
    seen = [Observation(w, 10**6, 10**6, 1.0) for w in ("rpm", "rpd", "tpm")]
    took = []
    for _ in range(200):
        began = time.process_time()
        learn(ledger, of, seen, NOON)
        took.append(time.process_time() - began)
    assert sorted(took)[100] < 100e-6, "ten times what it takes"


def test_idle_counters_are_forgotten_and_those_that_count_are_kept() -> None:
    ledger = MemoryLedger()
    idle, monthly, under_way = (
        candidate(serves=model(id=id, limits=limits))
        for id, limits in (
            ("idle", Limits(rpd=5)),
            ("monthly", Limits(tokens_per_month=5)),
            ("under-way", Limits(concurrency=5)),
        )
    )
    for one_ in (idle, monthly):
        reservation = ledger.reserve(one_.buckets, 2, NOON)
        assert reservation is not None
        ledger.settle(reservation, None, spent=True)
    ledger.reserve(under_way.buckets, 2, NOON)

    ledger.prune(NOON + 3600)
    assert len(ledger._counters) == 3, "the day is not over"
    ledger.prune(NOON + 86_400)
    assert set(ledger._counters) == {"alpha/1/monthly", "alpha/1/under-way"}
    ledger.prune(NOON + 32 * 86_400)
    assert set(ledger._counters) == {"alpha/1/under-way"}
