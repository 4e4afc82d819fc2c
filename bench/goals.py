"""What each figure of the gateway is to be at the most, or at the least."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Goal:
    """``times_floor``: also against the floor of the same run."""

    bound: float
    at_least: bool = False
    times_floor: float | None = None

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        floor = f", {sign} {self.times_floor:g} x floor" if self.times_floor else ""
        return f"{sign} {self.bound:g}{floor}"

    def is_met(self, value: float, floor: float | None) -> bool:
        if self.times_floor and floor and value > self.times_floor * floor:
            return False
        return value >= self.bound if self.at_least else value <= self.bound


GOALS: Mapping[str, Goal] = MappingProxyType(
    {
        "CPU ms per request": Goal(1.0, times_floor=1.8),
        "requests/s, 32 connections": Goal(915, at_least=True),
        "added latency ms p50, 1 connection": Goal(1.3),
        "added first token ms p50, 50 streams at once": Goal(30),
        "CPU ms per stream, 100 chunks 10 ms apart": Goal(11),
        "CPU ms per stream, 100 chunks in a burst": Goal(2.2),
        "1000 slow streams: answered": Goal(1000, at_least=True),
        "1000 slow streams: first token ms p50": Goal(150),
        "5000 slow streams: answered": Goal(5000, at_least=True),
        "1 MB in, 200 KB out: CPU ms": Goal(5.5),
        "failover: CPU ms per request": Goal(1.2),
        "memory MiB (PSS), idle": Goal(52),
        "memory MiB (PSS), after": Goal(90),
        "cold start to first answer s": Goal(0.7),
        "analytics, 1,000,000 requests, 30 days: ms": Goal(50),
        "decision, 200 x 20, the first 190 at their caps: p99 us": Goal(150),
        "decision, 200 x 20, 100 benched, 90 at their caps: p99 us": Goal(150),
        "decision, 200 x 20, all at their caps: refused: p99 us": Goal(150),
    }
)
