"""What grows is told from what only goes up and down."""

from __future__ import annotations

import pytest

from bench.soak import ALLOWED, Sample, report, trends
from bench.trend import trend

TIMES = [float(second) for second in range(0, 600, 10)]


def test_what_goes_up_and_down_does_not_grow() -> None:
    found = trend(TIMES, [70 + (second // 10) % 3 for second in TIMES])
    assert (found.low, found.high) == (70, 72)
    assert abs(found.growth) < 0.2


def test_what_grows_a_little_all_the_time_does() -> None:
    found = trend(TIMES, [70 + second / 100 + (second // 10) % 3 for second in TIMES])
    assert found.growth == pytest.approx(5.9, abs=0.2)


def test_only_the_second_half_of_a_soak_counts() -> None:
    def held(second: float) -> Sample:
        mib = min(50 + second / 10, 80)
        return Sample(second, int(second) * 100, mib, mib - 20, 40, 9, 60, 100_000, second / 100)

    samples = [held(second) for second in TIMES]
    found = trends(samples)
    assert found["pss_mib"].growth == 0
    assert all(found[name].growth <= allowed for name, allowed in ALLOWED.items())
    assert "59,000 requests" in report(samples, found)
