"""How far our token estimates are off, and how long answers get: learned for each model."""

from __future__ import annotations

from collections import deque
from dataclasses import field
from math import ceil

from freellmapi.core.catalog import Model
from freellmapi.core.estimate import DEFAULT_OUTPUT
from freellmapi.core.values import dataclass

MODELS_KEPT = 2_000
"""Models remembered at once; the one first met is forgotten first."""
ENOUGH = 3
"""Exact counts of prompts before a model's own factor is used."""
LOWEST, HIGHEST = 0.3, 3.0
WEIGHT = 0.05
"""How much a new prompt counts against all that came before it."""
OUTPUTS_KEPT = 64
ENOUGH_OUTPUTS = 8
"""Answers before less than ``DEFAULT_OUTPUT`` is held."""
QUANTILE = 0.95


@dataclass(slots=True)
class _Learned:
    estimated: float = 0.0
    exact: float = 0.0
    prompts: int = 0
    outputs: deque[int] = field(default_factory=lambda: deque(maxlen=OUTPUTS_KEPT))
    typical: int = DEFAULT_OUTPUT


class Calibration:
    """What real usage says of estimates; a model is named by its ref.

    The factor is a ratio of sums rather than a mean of ratios: it is the tokens of a minute
    that have to come out right, and of those the long prompts have most.
    """

    def __init__(self) -> None:
        self._learned: dict[str, _Learned] = {}
        self.version = 0
        """How often anything was learned."""

    def factor(self, ref: str) -> float:
        """What an estimate of this model's prompt tokens is to be multiplied by."""
        learned = self._learned.get(ref)
        if learned is None or learned.prompts < ENOUGH:
            return 1.0
        return _clamped(learned.exact / learned.estimated)

    def note(self, ref: str, estimated: int, exact: int) -> None:
        """A prompt of so many tokens, as estimated (without the factor) and as counted."""
        if estimated <= 0 or exact <= 0:
            return
        self.version += 1
        learned = self._of(ref)
        # One absurd count, such as a template's, must not turn all others over.
        believed = estimated * _clamped(exact / estimated)
        learned.estimated += WEIGHT * (estimated - learned.estimated)
        learned.exact += WEIGHT * (believed - learned.exact)
        learned.prompts += 1

    def expected_output(self, model: Model, max_tokens: int | None) -> int:
        """Output tokens to hold for a call.

        A stated maximum is held whole: some providers count it when the call comes in, and
        it may all be used. Otherwise what 95 % of the model's answers stayed below: those
        above it are made up for by the many below, where a mean would be passed by
        half of them, each of which is a 429 when the minute is full.
        """
        if max_tokens is None:
            learned = self._learned.get(model.ref)
            max_tokens = DEFAULT_OUTPUT if learned is None else learned.typical
        return max_tokens if model.max_output is None else min(max_tokens, model.max_output)

    def note_output(self, ref: str, tokens: int) -> None:
        """An answer got so long though no maximum was stated."""
        if tokens <= 0:
            return
        self.version += 1
        learned = self._of(ref)
        learned.outputs.append(tokens)
        ranked = sorted(learned.outputs)
        learned.typical = ranked[ceil(len(ranked) * QUANTILE) - 1]
        if len(ranked) < ENOUGH_OUTPUTS:
            learned.typical = max(learned.typical, DEFAULT_OUTPUT)

    def _of(self, ref: str) -> _Learned:
        learned = self._learned.get(ref)
        if learned is None:
            if len(self._learned) >= MODELS_KEPT:
                del self._learned[next(iter(self._learned))]
            learned = self._learned[ref] = _Learned()
        return learned


def _clamped(factor: float) -> float:
    return min(max(factor, LOWEST), HIGHEST)
