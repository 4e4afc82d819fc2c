"""Estimates follow what providers count, and hold enough for what models answer."""

from __future__ import annotations

import random

import pytest

from freellmapi.core.estimate import DEFAULT_OUTPUT
from freellmapi.router.calibration import MODELS_KEPT, Calibration
from tests.router.conftest import model

REF = "alpha/m"


def calibrated(*counts: tuple[int, int]) -> Calibration:
    calibration = Calibration()
    for estimated, exact in counts:
        calibration.note(REF, estimated, exact)
    return calibration


@pytest.mark.parametrize(
    ("counts", "factor"),
    [
        ([], 1.0),
        ([(100, 200)] * 2, 1.0),
        ([(100, 200)] * 3, 2.0),
        ([(100, 80)] * 50, 0.8),
        ([(100, 1)] * 5, 0.3),
        ([(10, 900)] * 5, 3.0),
        ([(0, 50), (50, 0)] * 5, 1.0),
    ],
    ids=["none", "too few", "twice", "less", "at least", "at most", "without a count"],
)
def test_the_factor_is_learned_and_bounded(counts: list[tuple[int, int]], factor: float) -> None:
    assert calibrated(*counts).factor(REF) == pytest.approx(factor)
    assert calibrated(*counts).factor("alpha/other") == 1.0


def test_long_prompts_weigh_more_than_short_ones() -> None:
    assert calibrated(*[(10, 30), (10_000, 10_000)] * 20).factor(REF) == pytest.approx(1, abs=0.01)


def test_the_factor_follows_a_change_of_tokenizer() -> None:
    calibration = calibrated(*[(100, 100)] * 200, *[(100, 150)] * 100)
    assert calibration.factor(REF) == pytest.approx(1.5, abs=0.01)


def test_a_factor_gets_minutes_right_within_a_few_percent() -> None:
    dice = random.Random(4)
    calibration = Calibration()
    for _ in range(100):
        estimated = dice.randint(20, 4000)
        calibration.note(REF, estimated, int(estimated * dice.uniform(1.1, 1.5)))
    assert calibration.factor(REF) == pytest.approx(1.3, abs=0.06)


@pytest.mark.parametrize(
    ("outputs", "max_tokens", "max_output", "held"),
    [
        ([], None, None, DEFAULT_OUTPUT),
        ([], None, 500, 500),
        ([], 4000, None, 4000),
        ([], 4000, 3000, 3000),
        ([200] * 7, None, None, DEFAULT_OUTPUT),
        ([200] * 8, None, None, 200),
        ([9000], None, None, 9000),
        ([100] * 60 + [2000] * 4, None, None, 2000),
        ([100] * 62 + [2000] * 2, None, None, 100),
        ([5000] * 30 + [100] * 64, None, None, 100),
        ([200] * 8, 50, None, 50),
    ],
    ids=str,
)
def test_so_much_output_is_held(
    outputs: list[int], max_tokens: int | None, max_output: int | None, held: int
) -> None:
    calibration = Calibration()
    for tokens in outputs:
        calibration.note_output(REF, tokens)
    assert calibration.expected_output(model(max_output=max_output), max_tokens) == held


def test_what_is_held_covers_what_is_used() -> None:
    dice, calibration = random.Random(3), Calibration()
    held = used = 0
    for _ in range(1_000):
        tokens = int(dice.lognormvariate(5.5, 0.8)) + 1
        held += calibration.expected_output(model(), None)
        used += tokens
        calibration.note_output(REF, tokens)
    assert used < held < 4 * used


def test_memory_is_bounded() -> None:
    calibration = Calibration()
    for n in range(MODELS_KEPT + 50):
        calibration.note(f"alpha/{n}", 1, 1)
    assert len(calibration._learned) == MODELS_KEPT
