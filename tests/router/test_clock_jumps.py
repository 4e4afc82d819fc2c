"""A wall clock that is set, forward or back, while requests wait and caps are counted."""

from __future__ import annotations

import pytest

from freellmapi.core.cancel import Cancellation
from freellmapi.core.limits import Bucket, Limits
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.waiting import wait_until
from tests.fakes.clock import FrozenClock

HOUR = 3_600.0
NOW = 1_790_000_000.0


class JumpingClock(FrozenClock):
    """Its wall clock is set once, at the first sleep."""

    def __init__(self, by: float) -> None:
        super().__init__(NOW)
        self._by = by

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._now += self._by
        self._by = 0.0


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_wait_lasts_as_long_as_it_would_have(by: float) -> None:
    clock = JumpingClock(by)
    began = clock.monotonic()
    wait_until(clock, NOW + 10, Cancellation())
    assert clock.monotonic() - began == pytest.approx(10)


@pytest.mark.parametrize("by", [-30.0, -HOUR, 30.0], ids=["back", "an hour back", "forward"])
def test_a_clock_that_is_set_gives_no_headroom_of_the_day_away(by: float) -> None:
    ledger = MemoryLedger()
    buckets = (Bucket("key lab/1", Limits(rpd=3)),)
    for _ in range(3):
        assert ledger.reserve(buckets, 1, NOW) is not None
    assert ledger.reserve(buckets, 1, NOW + by) is None


def test_a_clock_set_back_a_little_gives_no_headroom_of_the_minute_away() -> None:
    ledger = MemoryLedger()
    buckets = (Bucket("key lab/1", Limits(rpm=1)),)
    assert ledger.reserve(buckets, 1, NOW) is not None
    assert ledger.reserve(buckets, 1, NOW - 30) is None
    assert ledger.reserve(buckets, 1, NOW + 120) is not None


def test_after_a_clock_set_back_by_far_caps_open_again() -> None:
    ledger = MemoryLedger()
    buckets = (Bucket("key lab/1", Limits(rpm=1)),)
    assert ledger.reserve(buckets, 1, NOW) is not None
    assert ledger.opens_at(buckets, 1, NOW - HOUR) <= NOW - HOUR + 120
