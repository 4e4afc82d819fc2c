"""Plain numbers about what happens: counted where it happens, read only when somebody asks.

A key is the name of a metric, then the values of its labels. Counting is a dictionary's
work, so that it costs a request about a microsecond.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import field

from freellmapi.core.values import dataclass

Key = tuple[str, ...]


class Histogram:
    """How many values were not above each bound (in seconds), each counted once; and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counts:
    """Counters and histograms that only ever grow."""

    def __init__(self) -> None:
        self.counters: defaultdict[Key, float] = defaultdict(float)
        self.histograms: dict[Key, Histogram] = {}

    def observe(self, key: Key, value: float, bounds: tuple[float, ...]) -> None:
        found = self.histograms.get(key)
        if found is None:
            found = self.histograms[key] = Histogram(bounds)
        found.add(value)


@dataclass(slots=True)
class Numbers:
    """What one worker has counted, or several together."""

    counters: dict[Key, float] = field(default_factory=dict)
    histograms: dict[Key, list[float]] = field(default_factory=dict)
    """The counts of the buckets, then the sum."""
    gauges: dict[Key, float] = field(default_factory=dict)
    """What is so now, and adds up among workers."""
    highest: dict[Key, float] = field(default_factory=dict)
    """What is so now, and of which the worst counts."""

    def take(self, counts: Counts) -> None:
        """Add what was counted somewhere."""
        _add(self.counters, counts.counters)
        found = {k: [*h.counts, h.total] for k, h in counts.histograms.items()}
        _add_lists(self.histograms, found)

    def add(self, other: Numbers, *, living: bool) -> None:
        """Add another worker's; of one that is gone only what was counted."""
        _add(self.counters, other.counters)
        _add_lists(self.histograms, other.histograms)
        if living:
            _add(self.gauges, other.gauges)
            for key, value in other.highest.items():
                self.highest[key] = max(value, self.highest.get(key, value))


def _add(to: dict[Key, float], more: Mapping[Key, float]) -> None:
    for key, value in more.items():
        to[key] = to.get(key, 0) + value


def _add_lists(to: dict[Key, list[float]], more: Mapping[Key, Iterable[float]]) -> None:
    for key, values in more.items():
        before = to.get(key)
        to[key] = list(values) if before is None else _sums(before, values)


def _sums(left: Iterable[float], right: Iterable[float]) -> list[float]:
    # Of other lengths only among releases with other bounds; such are not to be mixed.
    return [a + b for a, b in zip(left, right, strict=False)]
