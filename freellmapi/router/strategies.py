"""In which order ``auto`` asks: the user's own, or one scored from live measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from freellmapi.core.catalog import Model
from freellmapi.router.measurements import FULL_CONFIDENCE, Measurement, Measurements

PRIORITY = "priority"
TYPICAL_FIRST_TOKEN = 1.0
TYPICAL_SPEED = 50.0
TYPICAL_ANSWER = 300.0
"""Tokens of the answer that ``fast`` has in mind."""
KEEP_ORDER = 1.0
"""Seconds for which a scored order is used again: scoring hundreds of models takes more
than the whole rest of a request."""
EXPLORE = 0.03
"""Share of requests that ask first a model which has not been measured for a while."""
STALE_AFTER = 1_800.0
"""Seconds after which a measurement says little about today's mood of a provider."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each quality counts; each is scored from 0 to 1."""

    success: float
    speed: float
    intelligence: float
    headroom: float


WEIGHTS: Mapping[str, Weights] = {
    "balanced": Weights(success=0.35, speed=0.2, intelligence=0.3, headroom=0.15),
    "fast": Weights(success=0.3, speed=0.6, intelligence=0.05, headroom=0.05),
    "smart": Weights(success=0.2, speed=0.05, intelligence=0.7, headroom=0.05),
    "reliable": Weights(success=0.75, speed=0.05, intelligence=0.05, headroom=0.15),
}


class Strategies:
    """Orders models; scored orders are kept for a second."""

    def __init__(self, measurements: Measurements, rng: Random) -> None:
        self._measurements = measurements
        self._rng = rng
        self._kept: dict[tuple[str, int], tuple[float, tuple[Model, ...]]] = {}

    def order(
        self,
        models: tuple[Model, ...],
        strategy: str,
        version: int,
        now: float,
        pressure: Callable[[Model], float],
    ) -> Sequence[Model]:
        """The models, best first. ``pressure`` is how used up a model's caps are, 0 to 1."""
        weights = WEIGHTS.get(strategy)
        if weights is None or len(models) < 2:
            return models
        key = (strategy, version)
        good_until, ordered = self._kept.get(key, (0.0, ()))
        if now >= good_until or len(ordered) != len(models):
            ordered = self._scored(models, weights, pressure)
            self._kept = {k: v for k, v in self._kept.items() if k[1] == version}
            self._kept[key] = (now + KEEP_ORDER, ordered)
        return self._explored(ordered, now)

    def _scored(
        self, models: tuple[Model, ...], weights: Weights, pressure: Callable[[Model], float]
    ) -> tuple[Model, ...]:
        # sorted() is stable: equals keep the order of the chain.
        return tuple(
            sorted(
                models,
                key=lambda m: score(m, self._measurements.of(m.ref), weights, pressure(m)),
                reverse=True,
            )
        )

    def _explored(self, ordered: tuple[Model, ...], now: float) -> Sequence[Model]:
        """Now and then the best model without a fresh measurement goes first."""
        if self._rng.random() >= EXPLORE:
            return ordered
        for place, model in enumerate(ordered):
            if now - self._measurements.of(model.ref).at > STALE_AFTER:
                return (model, *ordered[:place], *ordered[place + 1 :])
        return ordered


def score(model: Model, measured: Measurement, weights: Weights, pressure: float) -> float:
    """How good a model is for a purpose, 0 to 1. What was measured little counts little."""
    trust = min(measured.samples / FULL_CONFIDENCE, 1.0)
    success = 0.9 + (measured.success - 0.9) * trust
    return (
        weights.success * success
        + weights.speed * _speed(model, measured, trust)
        + weights.intelligence * (1 - min(model.intelligence_rank, 100) / 100)
        + weights.headroom * (1 - min(pressure, 1.0))
    )


def _speed(model: Model, measured: Measurement, trust: float) -> float:
    """From the seconds a typical answer takes; before measurements, from the catalog's rank."""
    expected = 1 - min(model.speed_rank, 20) / 20
    if measured.first_token is None and measured.speed is None:
        return expected
    first = TYPICAL_FIRST_TOKEN if measured.first_token is None else measured.first_token
    speed = TYPICAL_SPEED if measured.speed is None else max(measured.speed, 0.1)
    seconds = first + TYPICAL_ANSWER / speed
    return expected + (1 / (1 + seconds / 4) - expected) * trust
