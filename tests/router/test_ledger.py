"""No cap is ever exceeded, whatever is reserved, settled and forgotten in between."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import gevent
import pytest
from gevent.pool import Pool
from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.core.limits import Bucket, Limits, Usage
from freellmapi.core.route import Reservation
from freellmapi.router.counter import MINUTE_SLOTS, NEVER
from freellmapi.router.ledger import Earlier
from tests.router.ledgers import LEDGERS, NewLedger, accounts, open_ids

pytestmark = pytest.mark.parametrize("new_ledger", LEDGERS)

NOON = 1_790_000_000.0


def bucket(name: str = "b", zone: str = "UTC", **caps: Any) -> tuple[Bucket, ...]:
    return (Bucket(name, Limits(**caps), zone),)


def at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def held(reservation: Reservation | None) -> Reservation:
    assert reservation is not None
    return reservation


@pytest.mark.parametrize(
    ("caps", "calls", "tokens"),
    [
        ({"rpm": 3}, 3, 10),
        ({"rpd": 3}, 3, 10),
        ({"tpm": 30}, 3, 10),
        ({"tpd": 30}, 3, 10),
        ({"requests_per_month": 3}, 3, 10),
        ({"tokens_per_month": 35}, 3, 10),
        ({"concurrency": 3}, 3, 10),
        ({"rpm": 10, "tpm": 25}, 2, 10),
        ({"rpm": 0}, 0, 10),
        ({"tpd": 0}, 0, 10),
    ],
    ids=lambda value: str(value),
)
def test_each_cap_lets_so_many_calls_through(
    new_ledger: NewLedger, caps: dict[str, Any], calls: int, tokens: int
) -> None:
    ledger, b = new_ledger(), bucket(**caps)

    taken = [ledger.reserve(b, tokens, NOON) for _ in range(calls + 2)]

    assert [r is not None for r in taken] == [True] * calls + [False] * 2


def test_a_call_takes_from_all_buckets_or_from_none(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    model, account = bucket("model", rpm=10), bucket("account", rpm=1)
    held(ledger.reserve(model + account, 1, NOON))

    assert ledger.reserve(model + account, 1, NOON) is None

    (left,) = ledger.headroom(model, NOON).requests
    assert left.left == 9


def test_a_call_larger_than_the_cap_goes_only_when_nothing_else_is_in_the_window(
    new_ledger: NewLedger,
) -> None:
    ledger, b = new_ledger(), bucket(tpm=100)

    held(ledger.reserve(b, 500, NOON))

    assert ledger.reserve(b, 1, NOON) is None
    assert ledger.reserve(b, 500, NOON + MINUTE_SLOTS) is not None


@pytest.mark.parametrize(
    ("usage", "spent", "requests", "tokens"),
    [
        (Usage(20, 10), True, 1, 30),
        (Usage(200, 10), True, 1, 210),
        (Usage(20, 10, exact=False), True, 1, 100),
        (Usage(200, 10, exact=False), True, 1, 210),
        (None, True, 1, 100),
        (None, False, 0, 0),
    ],
    ids=["exact below", "exact above", "estimate below", "estimate above", "unknown", "not spent"],
)
def test_settling_corrects_what_was_reserved(
    new_ledger: NewLedger, usage: Usage | None, spent: bool, requests: int, tokens: int
) -> None:
    ledger, b = new_ledger(), bucket(rpm=10, rpd=10, tpm=1000, tpd=1000, concurrency=1)
    reservation = held(ledger.reserve(b, 100, NOON))

    ledger.settle(reservation, usage, spent=spent)

    left = ledger.headroom(b, NOON + 1)
    assert [w.cap - w.left for w in left.requests] == [requests, requests]
    assert [w.cap - w.left for w in left.tokens] == [tokens, tokens]
    assert ledger.reserve(b, 1, NOON + 1) is not None, "the call is no longer under way"


def test_a_reservation_is_settled_once(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpm=10, concurrency=2)
    first, _ = held(ledger.reserve(b, 1, NOON)), held(ledger.reserve(b, 1, NOON))

    for _ in range(3):
        ledger.settle(first, None, spent=False)

    assert ledger.headroom(b, NOON).requests[0].left == 9
    held(ledger.reserve(b, 1, NOON))
    assert ledger.reserve(b, 1, NOON) is None


def test_settling_after_midnight_leaves_the_new_day_alone(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpd=10, tpd=1000)
    late = at("2026-11-22T23:59:58", "UTC")
    reservation = held(ledger.reserve(b, 100, late))
    held(ledger.reserve(b, 100, late + 5))

    ledger.settle(reservation, None, spent=False)

    left = ledger.headroom(b, late + 6)
    assert left.requests[0].left == 9
    assert left.tokens[0].left == 900


@pytest.mark.parametrize(
    ("start", "reset"),
    [
        ("2026-11-22T12:00", "2026-11-23T00:00"),
        ("2026-03-08T01:00", "2026-03-09T00:00"),
        ("2026-11-01T00:30", "2026-11-02T00:00"),
    ],
    ids=["an ordinary day", "a day of 23 hours", "a day of 25 hours"],
)
def test_a_day_ends_at_midnight_where_the_provider_counts(
    new_ledger: NewLedger, start: str, reset: str
) -> None:
    zone = "America/Los_Angeles"
    ledger, b = new_ledger(), bucket(zone=zone, rpd=1)
    began, midnight = at(start, zone), at(reset, zone)
    held(ledger.reserve(b, 1, began))

    assert ledger.opens_at(b, 1, began) == midnight
    assert ledger.reserve(b, 1, midnight - 1) is None
    assert ledger.reserve(b, 1, midnight) is not None


def test_a_month_ends_at_its_last_midnight(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(zone="Europe/Berlin", tokens_per_month=100)
    held(ledger.reserve(b, 100, at("2026-12-30T12:00", "Europe/Berlin")))

    opens = ledger.opens_at(b, 100, at("2026-12-31T12:00", "Europe/Berlin"))

    assert opens == at("2027-01-01T00:00", "Europe/Berlin")


def test_a_cap_of_nothing_never_opens(new_ledger: NewLedger) -> None:
    assert new_ledger().opens_at(bucket(rpm=0), 1, NOON) == NEVER


def test_pressure_is_that_of_the_tightest_window(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpm=10, tpd=100)
    assert ledger.pressure(b, NOON) == 0
    held(ledger.reserve(b, 50, NOON))
    assert ledger.pressure(b, NOON) == 0.5
    assert ledger.pressure(bucket("free"), NOON) == 0


def test_the_tightest_windows_are_shown(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpm=10, rpd=5, tpm=100, tpd=1000)
    held(ledger.reserve(b, 30, NOON))

    left = ledger.headroom(b, NOON)

    tightest = left.tightest_requests(), left.tightest_tokens()
    assert [(w.cap, w.left) for w in tightest if w is not None] == [(5, 4), (100, 70)]
    assert left.tokens[0].resets_at == int(NOON) + MINUTE_SLOTS


def test_a_clock_that_goes_back_gives_no_headroom_away(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpm=2)
    held(ledger.reserve(b, 1, NOON))
    held(ledger.reserve(b, 1, NOON - 30))
    assert ledger.reserve(b, 1, NOON + 40) is None


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 60)), min_size=1, max_size=40),
    wanted=st.integers(1, 120),
    caps=st.fixed_dictionaries(
        {},
        optional={
            "rpm": st.integers(1, 8),
            "tpm": st.integers(1, 200),
            "rpd": st.integers(1, 30),
            "tpd": st.integers(1, 800),
        },
    ),
)
def test_it_opens_at_the_very_second_that_is_named(
    new_ledger: NewLedger, calls: list[tuple[float, int]], wanted: int, caps: dict[str, Any]
) -> None:
    ledger, b = new_ledger(), bucket(**caps)
    now = NOON
    for pause, tokens in calls:
        now += pause
        ledger.reserve(b, tokens, now)

    opens = ledger.opens_at(b, wanted, now)

    if opens > now:
        assert ledger.reserve(b, wanted, max(now, opens - 0.001)) is None
    assert ledger.reserve(b, wanted, opens) is not None


@dataclass
class Counted:
    """A call as an outside observer would count it."""

    at: float
    tokens: int
    reservation: Reservation
    open: bool = True


CAPS: dict[str, Any] = {"rpm": 5, "rpd": 40, "tpm": 100, "tpd": 900, "concurrency": 4}
STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 100)),
    st.tuples(st.just("settle"), st.integers(0, 100)),
    st.tuples(st.just("give back"), st.integers(0, 100)),
    st.tuples(st.just("wait"), st.integers(0, 4000)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=120))
def test_no_interleaving_exceeds_a_window(
    new_ledger: NewLedger, steps: list[tuple[str, int]]
) -> None:
    ledger, b = new_ledger(), bucket(**CAPS)
    now, calls = NOON, list[Counted]()
    for step, number in steps:
        under_way = [call for call in calls if call.open]
        if step == "wait":
            now += number / 100
        elif step == "reserve":
            reservation = ledger.reserve(b, number, now)
            if reservation is not None:
                calls.append(Counted(now, number, reservation))
                assert_within_caps(calls, now)
        elif under_way:
            call = under_way[number % len(under_way)]
            call.open = False
            if step == "settle":
                call.tokens = min(number, call.tokens)
                ledger.settle(call.reservation, Usage(call.tokens, 0), spent=True)
            else:
                ledger.settle(call.reservation, None, spent=False)
                calls.remove(call)
    assert len(accounts(ledger)["b"].slots) <= MINUTE_SLOTS if calls else True


def assert_within_caps(calls: list[Counted], now: float) -> None:
    minute = [call for call in calls if call.at > now - 60]
    today = [call for call in calls if call.at // 86_400 == now // 86_400]
    assert len(minute) <= CAPS["rpm"]
    assert len(today) <= CAPS["rpd"]
    assert sum(call.tokens for call in minute) <= CAPS["tpm"]
    assert sum(call.tokens for call in today) <= CAPS["tpd"]
    assert sum(call.open for call in calls) <= CAPS["concurrency"]


def test_memory_is_bounded_whatever_the_traffic(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpd=10**9)
    for n in range(5_000):
        ledger.settle(held(ledger.reserve(b, 1, NOON + n / 10)), Usage(1, 0), spent=True)

    assert len(accounts(ledger)["b"].slots) <= MINUTE_SLOTS
    assert not open_ids(ledger)


def test_two_hundred_greenlets_never_pass_a_cap(new_ledger: NewLedger) -> None:
    ledger, dice = new_ledger(), random.Random(7)
    b = bucket("model", rpm=50, tpm=3_000, concurrency=20) + bucket("account", rpd=40)
    under_way, most, taken = 0, 0, 0

    def call(_: int) -> None:
        nonlocal under_way, most, taken
        while (reservation := ledger.reserve(b, 50, NOON)) is None:
            if taken >= 40:
                return
            gevent.sleep(dice.random() / 100)
        under_way, taken = under_way + 1, taken + 1
        most = max(most, under_way)
        gevent.sleep(dice.random() / 100)
        under_way -= 1
        ledger.settle(reservation, Usage(40, 10), spent=True)

    Pool(200).map(call, range(200))

    assert taken <= 40
    assert most <= 20
    while (last := ledger.reserve(b, 50, NOON)) is not None and taken < 100:
        ledger.settle(last, Usage(40, 10), spent=True)
        taken += 1
    assert taken == 40, "what was turned away for a moment left its headroom to others"


def test_what_the_log_knows_is_counted_again(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpm=10, rpd=10, tpd=1000, requests_per_month=10)
    second = int(NOON)
    minute = ((second - 70, 1, 10), (second - 61, 1, 10), (second - 5, 2, 200))
    ledger.restore(b[0], Earlier(minute, (5, 400), (9, 700)), NOON)

    left = ledger.headroom(b, NOON + 1)

    assert [w.cap - w.left for w in left.requests] == [2, 5, 9]
    assert [w.cap - w.left for w in left.tokens] == [400]


def test_bookings_are_served_first_come_first_served(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpm=2, tpm=1000)
    for at in (NOON, NOON + 10):
        held(ledger.reserve(b, 1, at))

    first = held(ledger.book(b, 1, NOON + 20, NOON + 90))
    second = held(ledger.book(b, 1, NOON + 21, NOON + 90))
    third = held(ledger.book(b, 1, NOON + 22, NOON + 190))

    assert [r.at - NOON for r in (first, second, third)] == [62, 72, 124]
    assert ledger.reserve(b, 1, NOON + 62) is None, "the freed place is taken"
    ledger.settle(second, None, spent=False)
    assert ledger.reserve(b, 1, NOON + 71) is None
    assert ledger.reserve(b, 1, NOON + 72) is not None


def test_a_booking_is_now_when_there_is_room_now(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpm=1)
    assert held(ledger.book(b, 1, NOON + 0.25, NOON + 5)).at == NOON + 0.25


def test_a_small_call_may_go_before_a_large_one_that_waits(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(tpm=100)
    held(ledger.reserve(b, 80, NOON))
    assert held(ledger.book(b, 60, NOON + 5, NOON + 90)).at == NOON + 62

    assert ledger.reserve(b, 30, NOON + 6) is None, "it would still count at 62"
    held(ledger.reserve(b, 20, NOON + 6))


def test_a_booking_fits_every_bucket(new_ledger: NewLedger) -> None:
    ledger = new_ledger()
    model, account = bucket("model", rpm=1), bucket("account", rpm=2)
    held(ledger.reserve(model + account, 1, NOON))
    held(ledger.reserve(account, 1, NOON + 5))
    held(ledger.book(account, 1, NOON + 6, NOON + 90))

    assert held(ledger.book(model + account, 1, NOON + 7, NOON + 90)).at == NOON + 67


@pytest.mark.parametrize(
    ("caps", "latest"),
    [
        ({"rpm": 1}, 61.9),
        ({"concurrency": 1}, 90),
        ({"rpm": 1, "concurrency": 1}, 90),
        ({"rpd": 1}, 90_000),
        ({"tokens_per_month": 10}, 3_000_000),
        ({"rpm": 0}, 90),
        ({"tpd": 0}, 90_000),
    ],
    ids=lambda value: str(value),
)
def test_what_nobody_can_promise_is_not_booked(
    new_ledger: NewLedger, caps: dict[str, int], latest: float
) -> None:
    ledger, b = new_ledger(), (Bucket("b", Limits(**caps)),)
    ledger.reserve(b, 10, NOON)

    assert ledger.book(b, 10, NOON, NOON + latest) is None


def test_places_past_midnight_are_those_of_the_new_day(new_ledger: NewLedger) -> None:
    ledger, b = new_ledger(), bucket(rpm=1, rpd=2)
    late = at("2026-11-22T23:59:30", "UTC")
    held(ledger.reserve(b, 1, late))

    booked = [ledger.book(b, 1, late + n, late + 500) for n in range(3)]

    assert [r.at - late if r else None for r in booked] == [62, 124, None]
    (_, day) = ledger.headroom(b, late + 130).requests
    assert day.left == 0
