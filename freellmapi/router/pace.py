"""How fast a bucket is being used: an average over the last minutes."""

from __future__ import annotations

from math import exp

from freellmapi.core.values import dataclass

MEMORY = 600.0
"""Seconds after which a call weighs 1/e of what it did: a quiet minute ends no pace, and
one call is no trend."""


@dataclass(slots=True)
class Pace:
    """What was used, each call weighing less the longer ago it was."""

    at: float = 0.0
    requests: float = 0.0
    tokens: float = 0.0

    def add(self, at: float, requests: int, tokens: int) -> None:
        """Count a use at that time; negative numbers take back one that was counted."""
        if at > self.at:
            share = exp((self.at - at) / MEMORY)
            self.at = at
            self.requests = self.requests * share
            self.tokens = self.tokens * share
        self.requests = max(0.0, self.requests + requests)
        self.tokens = max(0.0, self.tokens + tokens)

    def per_second(self, now: float) -> tuple[float, float]:
        """Requests and tokens a second."""
        share = exp(min(0.0, self.at - now) / MEMORY) / MEMORY
        return self.requests * share, self.tokens * share
