"""What is read from the sums, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a period for one provider, model and key.

    ``requests``, tokens and ``duration`` (seconds, summed) belong to whoever served, to
    empty names when nobody did; ``fallbacks`` are requests that needed more than one
    attempt, but for those overtaken in a race. ``attempts`` belong to whoever was asked.
    """

    provider: str
    model: str
    key_id: str
    requests: int
    failures: int
    fallbacks: int
    attempts: int
    failed_attempts: int
    prompt_tokens: int
    completion_tokens: int
    duration: float


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls of one model through one key that the provider counts, and their tokens."""

    provider: str
    model: str
    key_id: str
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums by one thing alone, which ``name`` names, over a period (step 0) or a step of it."""

    step: int
    name: str
    requests: int
    failures: int
    fallbacks: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """How many ended so in a step: whole requests, or single calls."""

    step: int
    whole: bool
    kind: str
    n: int


@dataclass(frozen=True, slots=True)
class Latencies:
    """Packed histograms of answers: the whole duration, and the time to the first token."""

    durations: int = 0
    first_tokens: int = 0

    def __add__(self, other: Latencies) -> Latencies:
        return Latencies(self.durations + other.durations, self.first_tokens + other.first_tokens)
