"""In which order models are asked: the user's own, or one scored from live measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType

from freellmapi.core.catalog import Model
from freellmapi.core.measurement import Measurement
from freellmapi.core.values import dataclass
from freellmapi.router.measurements import Measurements

EXPECTED_SUCCESS = 0.9
"""Share of its calls that a model nobody has called yet is believed to answer."""
TYPICAL_ANSWER = 300.0
"""Tokens of the answer by whose time models are compared."""
FIRST_TOKEN_SHARE = 0.2
"""Of the time that a typical answer is expected to take."""
SLOWEST_RANK = 20
HALF_QUICK = 4.0
"""Seconds for a typical answer that score one half."""
KEEP_ORDER = 1.0
"""Seconds for which a scored order is used again: scoring hundreds of models takes more
than the whole rest of a request."""
MAX_KEPT = 64
EXPLORE = 0.03
"""Share of requests, of those that may, that first ask a model not called for a while."""
EXPLORE_INTERVAL = 600.0
"""Seconds since the newest call to a model, whatever came of it, after which it may be
explored; and between two explorations of it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What an answer of a model is worth: qualities of 0 to 1, whose weights add up to 1."""

    intelligence: float
    speed: float
    headroom: float
    care: float
    """The power that the chance of an answer is raised to before it multiplies the worth:
    1 is what may be expected, more shuns the unreliable."""


WEIGHTS: Mapping[str, Weights] = MappingProxyType(
    {
        "balanced": Weights(intelligence=0.5, speed=0.3, headroom=0.2, care=2),
        "fast": Weights(intelligence=0.2, speed=0.75, headroom=0.05, care=1),
        "smart": Weights(intelligence=0.9, speed=0.05, headroom=0.05, care=1),
        "reliable": Weights(intelligence=0.5, speed=0.2, headroom=0.3, care=8),
    }
)
"""The scored strategies; any other name (``priority``) leaves the order as it is."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An order for just these models, and who in it could do better than the first."""

    models: tuple[Model, ...]
    until: float
    ordered: tuple[Model, ...]
    hopeful: tuple[Model, ...]


class Strategies:
    """Orders models by strategy; scored orders are kept for a second."""

    def __init__(self, measurements: Measurements, rng: Random) -> None:
        self._measurements = measurements
        self._rng = rng
        self._kept: dict[tuple[str, int, str, int], _Kept] = {}
        self._explored: dict[str, float] = {}
        """Ref -> when it was last put first for exploration; an interval is remembered."""

    def order(
        self,
        models: tuple[Model, ...],
        strategy: str,
        version: int,
        now: float,
        pressure: Callable[[Model], float],
        may_explore: Callable[[Model], bool] | None = None,
    ) -> Sequence[Model]:
        """The same models, best first.

        ``version`` is the snapshot's. ``pressure`` is how used up a model's caps are, 0 to
        1. ``may_explore`` says whether a model could be asked right now; None: this
        request is no occasion to try something out.
        """
        weights = WEIGHTS.get(strategy)
        if weights is None or len(models) < 2:
            return models
        # The key only finds an order again; whether it is for these models is compared, so
        # that a request for one family cannot be given, or leave behind, another's.
        key = (strategy, version, models[0].ref, len(models))
        kept = self._kept.get(key)
        if kept is None or not kept.until - KEEP_ORDER <= now < kept.until or kept.models != models:
            kept = self._score(models, weights, now, pressure)
            self._keep(key, kept, now)
        if may_explore is not None and kept.hopeful and self._rng.random() < EXPLORE:
            return self._with_explored(kept, now, may_explore)
        return kept.ordered

    def _score(
        self,
        models: tuple[Model, ...],
        weights: Weights,
        now: float,
        pressure: Callable[[Model], float],
    ) -> _Kept:
        scored: list[tuple[float, float, Model]] = []
        for model in models:
            pressed = pressure(model)
            hope = worth(model, Measurement(model.ref), weights, pressed, now)
            measured = self._measurements.of(model.ref)
            scored.append((score(model, measured, weights, pressed, now), hope, model))
        # Sorting is stable: equals keep the order of the chain.
        scored.sort(key=lambda row: row[0], reverse=True)
        best = scored[0][0]
        return _Kept(
            models=models,
            until=now + KEEP_ORDER,
            ordered=tuple(model for _, _, model in scored),
            hopeful=tuple(model for _, hope, model in scored[1:] if hope >= best),
        )

    def _keep(self, key: tuple[str, int, str, int], kept: _Kept, now: float) -> None:
        if len(self._kept) >= MAX_KEPT:
            self._kept = {k: v for k, v in self._kept.items() if v.until > now}
        if len(self._kept) < MAX_KEPT or key in self._kept:
            self._kept[key] = kept

    def _with_explored(
        self, kept: _Kept, now: float, may_explore: Callable[[Model], bool]
    ) -> Sequence[Model]:
        """The most hopeful model that was not called for a while first, then the others."""
        oldest = now - EXPLORE_INTERVAL
        self._explored = {ref: at for ref, at in self._explored.items() if oldest < at <= now}
        for model in kept.hopeful:
            ref = model.ref
            if self._measurements.of(ref).at > oldest or ref in self._explored:
                continue
            if may_explore(model):
                self._explored[ref] = now
                return first(kept.ordered, model)
        return kept.ordered


def first(models: Sequence[Model], model: Model | None) -> Sequence[Model]:
    """The models with this one first, if it is among them."""
    if model is None or not any(m is model for m in models):
        return models
    return (model, *(m for m in models if m is not model))


def score(
    model: Model, measured: Measurement, weights: Weights, pressure: float, now: float
) -> float:
    """What asking the model may be expected to bring, 0 to 1: its worth, if it answers."""
    chance = measured.success.against(EXPECTED_SUCCESS, measured.share(now))
    return float(chance**weights.care) * worth(model, measured, weights, pressure, now)


@dataclass(frozen=True, slots=True)
class Score:
    """What a model's score is made of; shares and qualities are 0 to 1."""

    total: float
    success: float
    """The chance of an answer."""
    speed: float
    headroom: float
    intelligence: float
    first_token: float
    """Seconds to the first token that are expected."""
    tokens_a_second: float
    """That are expected after it."""
    calls: float
    """How many calls the measured values stand for; with none they are guesses."""


def scored(
    model: Model, measured: Measurement, weights: Weights, pressure: float, now: float
) -> Score:
    """The score together with its parts, for people to look at."""
    share = measured.share(now)
    wait, speed = _expected(model, measured, share)
    return Score(
        total=score(model, measured, weights, pressure, now),
        success=measured.success.against(EXPECTED_SUCCESS, share),
        speed=_quickness(model, measured, share),
        headroom=1 - min(max(pressure, 0.0), 1.0),
        intelligence=_intelligence(model),
        first_token=wait,
        tokens_a_second=speed,
        calls=measured.success.weight * share,
    )


def worth(
    model: Model, measured: Measurement, weights: Weights, pressure: float, now: float
) -> float:
    """What an answer of the model is worth, 0 to 1."""
    return (
        weights.intelligence * _intelligence(model)
        + weights.speed * _quickness(model, measured, measured.share(now))
        + weights.headroom * (1 - min(max(pressure, 0.0), 1.0))
    )


def _intelligence(model: Model) -> float:
    return 1 - min(model.intelligence_rank, 100) / 100


def _quickness(model: Model, measured: Measurement, share: float) -> float:
    """From the seconds that a typical answer takes."""
    wait, speed = _expected(model, measured, share)
    seconds = wait + TYPICAL_ANSWER / max(speed, 0.1)
    return 1 / (1 + seconds / HALF_QUICK)


def _expected(model: Model, measured: Measurement, share: float) -> tuple[float, float]:
    """Seconds to the first token, and tokens a second; a speed rank is a guess at both."""
    guess = float(min(max(model.speed_rank, 1), SLOWEST_RANK))
    wait = measured.first_token.against(guess * FIRST_TOKEN_SHARE, share)
    speed = measured.speed.against(TYPICAL_ANSWER / (guess * (1 - FIRST_TOKEN_SHARE)), share)
    return wait, speed
