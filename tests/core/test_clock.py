"""The machine's clocks, and the frozen one of the tests, behave alike."""

from __future__ import annotations

import time

import pytest

from freellmapi.core.clock import Clock, SystemClock
from tests.fakes.clock import FrozenClock


@pytest.mark.parametrize("clock", [SystemClock(), FrozenClock()], ids=["system", "frozen"])
def test_sleeping_moves_both_clocks(clock: Clock) -> None:
    now, monotonic = clock.now(), clock.monotonic()
    clock.sleep(0.01)
    assert clock.now() - now >= 0.009
    assert clock.monotonic() - monotonic >= 0.009


def test_the_system_clock_tells_epoch_seconds() -> None:
    assert abs(SystemClock().now() - time.time()) < 1


def test_the_frozen_clock_stands_still() -> None:
    clock = FrozenClock()
    assert clock.now() == clock.now()
