"""How late a sleep came back: counted, the worst remembered for a while, the bad ones told."""

from __future__ import annotations

import pytest

from freellmapi.router.watchdog import INTERVAL, LAGS, QUIET, WINDOW, Watchdog
from tests.fakes.clock import FrozenClock


class LateClock(FrozenClock):
    """Sleeps longer than it was asked to."""

    late = 0.0

    def sleep(self, seconds: float) -> None:
        self.advance(seconds + self.late)


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


def look(watchdog: Watchdog, clock: LateClock, late: float) -> None:
    clock.late = late
    watchdog.look(clock)


def test_each_lag_is_in_its_bucket(clock: LateClock) -> None:
    watchdog = Watchdog(lambda: 0.0)
    for late in (0.0, 0.02, 0.02, 9.0):
        look(watchdog, clock, late)
    counts = dict(zip((*LAGS, None), watchdog.lags.counts, strict=True))
    assert {bound: n for bound, n in counts.items() if n} == {0.001: 1, 0.025: 2, None: 1}
    assert watchdog.lags.total == pytest.approx(9.04)


def test_the_worst_is_remembered_and_then_forgotten(clock: LateClock) -> None:
    watchdog = Watchdog(lambda: 0.0)
    look(watchdog, clock, 0.3)
    look(watchdog, clock, 0.01)
    assert watchdog.late.value == pytest.approx(0.3)
    clock.advance(WINDOW)
    look(watchdog, clock, 0.01)
    assert watchdog.late.value == pytest.approx(0.3)
    clock.advance(WINDOW)
    look(watchdog, clock, 0.01)
    assert watchdog.late.value == pytest.approx(0.01)


def test_a_bad_one_is_told_but_not_each(clock: LateClock, caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(lambda: 0.0)
    look(watchdog, clock, 0.04)
    assert not caplog.records
    for _ in range(3):
        look(watchdog, clock, 0.2)
    assert [r.getMessage() for r in caplog.records] == ["everything waited for 200 ms"]
    clock.advance(QUIET)
    look(watchdog, clock, 0.2)
    assert len(caplog.records) == 2


def test_it_sleeps_and_does_not_spin(clock: LateClock) -> None:
    before = clock.monotonic()
    look(Watchdog(lambda: 0.0), clock, 0.0)
    assert clock.monotonic() == before + INTERVAL


def test_what_other_programs_took_is_not_its_own(
    clock: LateClock, caplog: pytest.LogCaptureFixture
) -> None:
    waits = iter([10.0, 10.15, 20.0, 20.5, 30.0, 30.0])
    watchdog = Watchdog(lambda: next(waits))
    look(watchdog, clock, 0.2)
    assert watchdog.late.value == pytest.approx(0.2)
    assert watchdog.held.value == pytest.approx(0.05)
    assert "waited for 200 ms, 150 of them for a processor" in caplog.text
    look(watchdog, clock, 0.3)
    assert watchdog.held.value == pytest.approx(0.05), "waits before it was due count for no more"
    look(watchdog, clock, 0.07)
    assert watchdog.held.value == pytest.approx(0.07)
