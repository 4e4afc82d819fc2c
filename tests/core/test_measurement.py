"""Averages that fade, and how a model comes back from bad days."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.core.measurement import HALF_LIFE, MOST, Average, Measurement

NOW = 1_790_000_000.0


def after(outcomes: str, every: float = 1.0) -> Measurement:
    """A model's measurement after calls that were answered (+) or failed (-)."""
    found = Measurement("a/m")
    for n, outcome in enumerate(outcomes):
        at = NOW + n * every
        found = found.answered(at, None, None) if outcome == "+" else found.failed(at)
    return found


def test_the_first_values_count_alike() -> None:
    average = Average().plus(1.0).plus(2.0).plus(6.0)
    assert average.value == pytest.approx(3.0)
    assert average.weight == 3.0


def test_an_old_average_moves_slowly_and_never_stands_for_more_than_it_may() -> None:
    average = Average()
    for _ in range(1_000):
        average = average.plus(1.0)
    assert average.weight == MOST
    assert average.plus(0.0).value == pytest.approx(1 - 1 / (MOST + 1))


@pytest.mark.parametrize(
    ("average", "share", "expected"),
    [
        pytest.param(Average(), 1.0, 0.9, id="nothing measured: what is expected"),
        pytest.param(Average(0.0, 1.0), 1.0, 0.75, id="one call says little"),
        pytest.param(Average(0.0, 5.0), 1.0, 0.45, id="five calls say half of it"),
        pytest.param(Average(0.0, 20.0), 1.0, 0.18, id="twenty say nearly all"),
        pytest.param(Average(0.0, 20.0), 0.25, 0.45, id="but not when they are old"),
    ],
)
def test_what_was_measured_is_weighed_against_what_is_expected(
    average: Average, share: float, expected: float
) -> None:
    assert average.against(0.9, share) == pytest.approx(expected)


def test_weights_halve_in_a_half_life_and_values_stay() -> None:
    old = after("+" * 8)
    assert old.share(old.at + HALF_LIFE) == pytest.approx(0.5)
    later = old.answered(old.at + HALF_LIFE, None, None)
    assert later.success.weight == pytest.approx(old.success.weight / 2 + 1)
    assert later.success.value == 1.0


def test_a_clock_that_went_back_fades_nothing() -> None:
    old = after("+" * 8)
    assert old.share(NOW - 1e6) == 1.0
    assert old.failed(NOW - 1e6).at == old.at


def test_a_model_that_is_back_is_believed_within_a_few_answers() -> None:
    """After a long outage, 20 failures in the books."""
    assert after("-" * 20).success.value == 0.0
    assert after("-" * 20 + "+").success.value == pytest.approx(0.2, abs=0.01)
    assert after("-" * 20 + "+" * 5).success.value > 0.5


def test_a_model_that_answers_one_call_in_five_is_not_believed() -> None:
    assert after("----+" * 30).success.value < 0.4
    assert after("----+" * 30 + "----").success.value < 0.2


def test_one_failure_hardly_harms_a_proven_model() -> None:
    assert after("+" * 50 + "-").success.value > 0.95


@given(st.text("+-", max_size=60), st.floats(0, 1e6))
def test_success_is_a_share_whatever_happens(outcomes: str, every: float) -> None:
    success = after(outcomes, every).success
    assert 0 <= success.value <= 1
    assert 0 <= success.weight <= MOST
