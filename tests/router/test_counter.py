"""One bucket's windows, with calls in the past and calls booked ahead."""

from __future__ import annotations

from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.core.limits import Limits
from freellmapi.router.counter import MINUTE_SLOTS, NEVER, Counter
from freellmapi.router.room import fits, lasting, opens_at

NOW = 1_790_000_000

SLOTS = st.dictionaries(
    st.integers(-70, 80), st.tuples(st.integers(1, 4), st.integers(0, 60)), max_size=25
)
CAPS = st.tuples(st.none() | st.integers(1, 12), st.none() | st.integers(1, 200))


def counted(slots: dict[int, tuple[int, int]], zone: str = "UTC") -> Counter:
    """These slots, in seconds from now; given in any order, as bookings are made."""
    counter = Counter()
    counter.roll(NOW - 70, zone)
    for second, (requests, tokens) in slots.items():
        counter.add(NOW + second, requests, tokens)
    counter.roll(NOW, zone)
    return counter


def worst(slots: dict[int, tuple[int, int]], at: int, which: int) -> int:
    """The most in any minute that includes ``at``, by trying every one."""
    live = {s: slot[which] for s, slot in slots.items() if s > -MINUTE_SLOTS}
    return max(
        sum(n for s, n in live.items() if end - MINUTE_SLOTS < s <= end)
        for end in range(at, at + MINUTE_SLOTS)
    )


@given(SLOTS, st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_the_worst_minute_is_that_of_trying_them_all(
    slots: dict[int, tuple[int, int]], at: int
) -> None:
    expected = worst(slots, at, 0), worst(slots, at, 1)
    found = counted(slots).minute(NOW + at)
    # Beyond the newest slot the whole sum is given, which is never too little.
    assert found == expected if max(slots, default=0) > at or at == 0 else found >= expected


@given(SLOTS, CAPS, st.integers(1, 250))
@settings(max_examples=200, deadline=None)
def test_the_first_free_second_is_that_of_trying_them_all(
    slots: dict[int, tuple[int, int]], caps: tuple[int | None, int | None], tokens: int
) -> None:
    def free(at: int) -> bool:
        for cap, which, more in ((caps[0], 0, 1), (caps[1], 1, tokens)):
            used = worst(slots, at, which)
            if cap is not None and used and used + more > cap:
                return False
        return True

    limits = Limits(rpm=caps[0], tpm=caps[1])
    opens = opens_at(counted(slots), limits, tokens, NOW)

    assert opens - NOW == next(at for at in range(400) if free(at))
    assert fits(counted(slots), limits, tokens, NOW) == (opens == NOW)


def test_slots_stay_in_order_whatever_order_they_come_in() -> None:
    counter = counted({5: (1, 1), 70: (1, 1), -3: (1, 1), 30: (1, 1)})
    assert list(counter.slots) == [NOW - 3, NOW + 5, NOW + 30, NOW + 70]


def test_a_call_booked_past_midnight_counts_in_its_own_day() -> None:
    midnight = datetime(2026, 11, 23, tzinfo=timezone.utc).timestamp()
    counter = Counter()
    counter.roll(midnight - 5, "UTC")
    counter.add(midnight - 5, 1, 10)
    counter.add(midnight + 3, 1, 20)

    assert (counter.day.requests, counter.day.tokens) == (1, 10)
    counter.roll(midnight + 1, "UTC")
    assert (counter.day.requests, counter.day.tokens) == (1, 20)
    counter.correct(midnight + 3, 0, 5)
    assert (counter.day.requests, counter.day.tokens) == (1, 25)


def test_only_a_full_minute_is_worth_waiting_in_line_for() -> None:
    counter = counted({0: (3, 30)})
    counter.in_flight = 3

    assert lasting(counter, Limits(rpm=3, tpm=30, rpd=4, concurrency=4), 1, NOW)
    assert not lasting(counter, Limits(rpd=3), 1, NOW)
    assert not lasting(counter, Limits(tokens_per_month=30), 1, NOW)
    assert not lasting(counter, Limits(concurrency=3), 1, NOW)
    assert opens_at(counter, Limits(requests_per_month=0), 1, NOW) == NEVER
