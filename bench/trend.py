"""Whether what was measured over time grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression


@dataclass(frozen=True, slots=True)
class Trend:
    """``growth`` is that of the straight line through all values, from first to last."""

    low: float
    high: float
    growth: float


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    line = linear_regression(times, values)
    return Trend(min(values), max(values), line.slope * (times[-1] - times[0]))
