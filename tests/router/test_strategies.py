"""The order of models: by chain, by score, and with a little exploration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.core.catalog import Model
from freellmapi.core.measurement import Average, Measurement
from freellmapi.router.measurements import Measurements
from freellmapi.router.settings import STRATEGIES
from freellmapi.router.strategies import (
    EXPLORE,
    EXPLORE_INTERVAL,
    KEEP_ORDER,
    MAX_KEPT,
    WEIGHTS,
    Strategies,
    Weights,
    first,
    score,
    scored,
)

NOW = 1_790_000_000.0


def model(name: str, intelligence: int = 50, speed: int = 5) -> Model:
    return Model("p", name, name, name, intelligence_rank=intelligence, speed_rank=speed)


def measured(
    name: str,
    success: float = 1.0,
    wait: float | None = None,
    speed: float | None = None,
    at: float = NOW,
) -> Measurement:
    """As after many calls."""
    return Measurement(
        f"p/{name}",
        at,
        Average(success, 20.0),
        Average() if wait is None else Average(wait, 20.0),
        Average() if speed is None else Average(speed, 20.0),
    )


def no_pressure(model: Model) -> float:
    return 0.0


def always(model: Model) -> bool:
    return True


def order(
    models: Sequence[Model],
    strategy: str,
    *known: Measurement,
    pressed: str = "",
    now: float = NOW,
) -> str:
    """The names in order, as one word; ``pressed`` has no headroom left."""
    found = Strategies(Measurements(known), Random(0)).order(
        tuple(models), strategy, 1, now, lambda m: float(m.id == pressed)
    )
    return "".join(m.id for m in found)


A, B, C = model("a"), model("b"), model("c")


def test_every_strategy_of_the_settings_is_known() -> None:
    assert set(STRATEGIES) == {"priority", *WEIGHTS}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_add_up(weights: Weights) -> None:
    assert weights.intelligence + weights.speed + weights.headroom == pytest.approx(1)


def test_priority_is_the_users_own_order_whatever_was_measured() -> None:
    assert order([C, A, B], "priority", measured("c", success=0.0)) == "cab"


@pytest.mark.parametrize("strategy", WEIGHTS)
def test_equals_keep_the_order_of_the_chain(strategy: str) -> None:
    assert order([C, A, B], strategy) == "cab"


@pytest.mark.parametrize(
    ("strategy", "models", "known", "expected"),
    [
        pytest.param(
            "fast",
            [A, B],
            [measured("a", wait=2, speed=30), measured("b", wait=0.3, speed=300)],
            "ba",
            id="fast: by measured speed",
        ),
        pytest.param(
            "fast",
            [A, B],
            [measured("a", wait=8, speed=300), measured("b", wait=0.3, speed=200)],
            "ba",
            id="fast: the wait for the first token counts",
        ),
        pytest.param(
            "fast",
            [A, B],
            [measured("a", 0.3, wait=0.2, speed=400), measured("b", wait=0.5, speed=150)],
            "ba",
            id="fast: but not one that mostly fails",
        ),
        pytest.param(
            "fast", [model("a", speed=9), model("b", speed=1)], [], "ba", id="fast: unmeasured"
        ),
        pytest.param(
            "smart",
            [model("a", 60), model("b", 5)],
            [measured("a", wait=0.2, speed=500), measured("b", wait=5, speed=20)],
            "ba",
            id="smart: by intelligence though it is slow",
        ),
        pytest.param(
            "smart",
            [model("a", 5), model("b", 20)],
            [measured("a", 0.4), measured("b")],
            "ba",
            id="smart: but not one that mostly fails",
        ),
        pytest.param(
            "reliable",
            [model("a", 5, speed=1), model("b", 40)],
            [measured("a", 0.9), measured("b", 1.0)],
            "ba",
            id="reliable: one failure in ten is too many",
        ),
        pytest.param(
            "reliable",
            [model("a", 100), model("b", 10)],
            [measured("a", 1.0), measured("b", 0.98)],
            "ba",
            id="reliable: a dunce that never fails does not lead",
        ),
        pytest.param(
            "reliable",
            [A, B],
            [measured("b", 1.0)],
            "ba",
            id="reliable: the proven before the unknown",
        ),
        pytest.param(
            "balanced",
            [model("a", 60), model("b", 20)],
            [measured("a", 0.95), measured("b", 0.95)],
            "ba",
            id="balanced: the smarter of two like ones",
        ),
        pytest.param(
            "balanced",
            [A, B],
            [measured("a", 0.5)],
            "ba",
            id="balanced: the unknown before the flaky",
        ),
    ],
)
def test_order(strategy: str, models: list[Model], known: list[Measurement], expected: str) -> None:
    assert order(models, strategy, *known) == expected


@pytest.mark.parametrize("strategy", WEIGHTS)
def test_among_equals_the_one_with_headroom_leads(strategy: str) -> None:
    assert order([A, B], strategy, pressed="a") == "ba"


def test_what_was_measured_long_ago_says_nothing_any_more() -> None:
    bad = measured("a", success=0.0)
    assert order([A, B], "reliable", bad) == "ba"
    assert order([A, B], "reliable", bad, now=NOW + 20 * 86_400) == "ab"


def test_a_scored_order_is_kept_for_a_second_and_no_longer() -> None:
    measurements = Measurements()
    strategies = Strategies(measurements, Random(0))
    asked: list[str] = []

    def pressure(model: Model) -> float:
        asked.append(model.id)
        return 0.0

    for seconds in (0.0, KEEP_ORDER / 2, KEEP_ORDER):
        strategies.order((A, B), "fast", 1, NOW + seconds, pressure)
    assert asked == ["a", "b"] * 2


def test_a_clock_that_went_back_does_not_keep_an_order_for_ever() -> None:
    measurements = Measurements()
    strategies = Strategies(measurements, Random(0))
    strategies.order((A, B), "fast", 1, NOW, no_pressure)
    found = strategies.order((A, B), "fast", 1, NOW - 7_200, lambda m: float(m.id == "a"))
    assert [m.id for m in found] == ["b", "a"]


def test_one_strategy_or_group_of_models_does_not_order_another() -> None:
    fine, dull, quick = model("f", 1, 9), model("d", 99, 9), model("q", 99, 1)
    strategies = Strategies(Measurements(), Random(0))
    groups = [(dull, fine), (dull, quick), (dull, fine, quick), (dull, fine)]
    for strategy in ("smart", "fast"):
        for group in groups:
            found = strategies.order(group, strategy, 1, NOW, no_pressure)
            best = {"smart": (fine, quick), "fast": (quick, fine)}[strategy]
            assert sorted(m.id for m in found) == sorted(m.id for m in group)
            assert found[0] is next(m for m in best if m in group)


def test_a_new_configuration_is_ordered_anew() -> None:
    strategies = Strategies(Measurements(), Random(0))
    strategies.order((A, B), "smart", 1, NOW, no_pressure)
    changed = (A, replace(B, intelligence_rank=1))
    assert strategies.order(changed, "smart", 2, NOW, no_pressure) == (changed[1], A)


def test_kept_orders_are_bounded() -> None:
    strategies = Strategies(Measurements(), Random(0))
    for version in range(10 * MAX_KEPT):
        strategies.order((A, B), "smart", version, NOW, no_pressure)
    assert len(strategies._kept) <= MAX_KEPT


class TestExploration:
    """``a`` leads with measurements of today; ``b`` would be better if it were well again."""

    SMART, OTHER = model("b", 10), model("a", 40)

    def ask(
        self,
        strategies: Strategies,
        times: int,
        every: float = 0.0,
        blocked: str = "",
        models: tuple[Model, ...] = (),
    ) -> list[str]:
        """Who was asked first by each of so many requests."""
        return [
            strategies.order(
                models or (self.OTHER, self.SMART),
                "smart",
                1,
                NOW + n * every,
                no_pressure,
                lambda m: m.id != blocked,
            )[0].id
            for n in range(times)
        ]

    def strategies(self, *known: Measurement) -> Strategies:
        unwell = measured("b", 0.1, at=NOW - 3_600)
        return Strategies(Measurements(known or (measured("a"), unwell)), Random(0))

    def test_a_model_that_may_have_recovered_is_looked_at_once_an_interval(self) -> None:
        assert self.ask(self.strategies(), 1_000).count("b") == 1
        every = EXPLORE_INTERVAL / 200
        assert self.ask(self.strategies(), 1_000, every).count("b") in range(3, 6)

    def test_only_a_small_share_of_requests_explores(self) -> None:
        unknown = tuple(model(f"n{i}", 10) for i in range(500))
        strategies = Strategies(Measurements([measured("a")]), Random(0))
        asked = self.ask(strategies, 5_000, models=(model("a", 8), *unknown))
        explored = [name for name in asked if name != "a"]
        assert len(explored) == pytest.approx(5_000 * EXPLORE, rel=0.25)
        assert len(set(explored)) == len(explored)

    def test_a_model_called_lately_is_not_explored(self) -> None:
        strategies = self.strategies(measured("a"), measured("b", 0.1, at=NOW - 60))
        assert set(self.ask(strategies, 1_000)) == {"a"}

    def test_a_model_that_could_not_lead_at_its_best_is_not_explored(self) -> None:
        strategies = self.strategies(measured("a"))
        dull = model("d", 90)
        assert set(self.ask(strategies, 1_000, models=(self.OTHER, dull))) == {"a"}

    def test_a_model_that_cannot_be_asked_is_passed_over_and_keeps_its_turn(self) -> None:
        strategies = self.strategies()
        assert set(self.ask(strategies, 1_000, blocked="b")) == {"a"}
        assert self.ask(strategies, 1_000).count("b") == 1

    def test_no_request_explores_that_may_not(self) -> None:
        strategies = self.strategies()
        found = {
            strategies.order((self.OTHER, self.SMART), "smart", 1, NOW, no_pressure)[0].id
            for _ in range(1_000)
        }
        assert found == {"a"}

    def test_the_users_own_order_is_never_explored(self) -> None:
        strategies = self.strategies()
        found = {
            strategies.order((A, B), "priority", 1, NOW, no_pressure, always)[0].id
            for _ in range(1_000)
        }
        assert found == {"a"}

    def test_the_same_seed_explores_alike(self) -> None:
        every = EXPLORE_INTERVAL / 50
        assert self.ask(self.strategies(), 500, every) == self.ask(self.strategies(), 500, every)


def test_first_puts_the_very_model_first() -> None:
    assert first((A, B, C), C) == (C, A, B)
    assert first((A, B), C) == (A, B)
    assert first((A, B), None) == (A, B)


share = st.floats(0, 1)
averages = st.builds(Average, st.floats(0, 1e4), st.floats(0, 20))
models_and_measurements = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.integers(0, 30),
        share,
        st.none() | st.tuples(share, st.floats(0, 20), averages, averages, st.floats(0, 2e9)),
    ),
    max_size=12,
)


@given(
    models_and_measurements,
    st.sampled_from([*STRATEGIES, "nonsense"]),
    st.integers(),
    st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20),
)
def test_an_order_is_always_a_permutation(
    drawn: list[tuple[int, int, float, tuple[float, float, Average, Average, float] | None]],
    strategy: str,
    seed: int,
    times: list[float],
) -> None:
    models = tuple(model(f"m{n}", i, s) for n, (i, s, _, _) in enumerate(drawn))
    known = [
        Measurement(f"p/m{n}", at, Average(success, weight), wait, speed)
        for n, (_, _, _, m) in enumerate(drawn)
        if m is not None
        for success, weight, wait, speed, at in [m]
    ]
    pressures = {f"m{n}": pressure for n, (_, _, pressure, _) in enumerate(drawn)}
    strategies = Strategies(Measurements(known), Random(seed))
    for n, seconds in enumerate(times):
        group = models[n % 3 :]
        found = strategies.order(
            group, strategy, 1, NOW + seconds, lambda m: pressures[m.id], always
        )
        assert sorted(found, key=id) == sorted(group, key=id)


@pytest.mark.parametrize("pressure", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("strategy", sorted(WEIGHTS))
def test_the_parts_of_a_score_add_up_to_it(strategy: str, pressure: float) -> None:
    weights = WEIGHTS[strategy]
    of, seen = model("m", intelligence=30, speed=4), measured("m", 0.7, 0.8, 90)
    parts = scored(of, seen, weights, pressure, NOW + 60)
    worth = (
        weights.intelligence * parts.intelligence
        + weights.speed * parts.speed
        + weights.headroom * parts.headroom
    )
    assert parts.total == pytest.approx(parts.success**weights.care * worth)
    assert parts.total == score(of, seen, weights, pressure, NOW + 60)
