from __future__ import annotations

import pytest

from freellmapi.router.pace import MEMORY, Pace

START = 1_790_000_000.0


def test_a_steady_use_is_found_again() -> None:
    pace = Pace()
    for second in range(3_600):
        pace.add(START + second, 2, 100)
    requests, tokens = pace.per_second(START + 3_600)
    assert requests == pytest.approx(2, rel=0.01)
    assert tokens == pytest.approx(100, rel=0.01)


def test_one_call_is_no_trend_and_is_forgotten() -> None:
    pace = Pace()
    pace.add(START, 1, 500)
    assert pace.per_second(START)[0] == pytest.approx(1 / MEMORY)
    assert pace.per_second(START + 3 * MEMORY)[0] < 0.06 / MEMORY


def test_what_is_taken_back_leaves_nothing() -> None:
    pace = Pace()
    pace.add(START, 1, 500)
    pace.add(START, -1, -500)
    assert pace.per_second(START + 1) == (0, 0)


def test_a_call_that_lies_ahead_makes_no_pace_of_more_than_it_is() -> None:
    pace = Pace()
    pace.add(START + 10, 1, 1)
    pace.add(START, 1, 1)
    assert pace.per_second(START)[0] == pytest.approx(2 / MEMORY)
