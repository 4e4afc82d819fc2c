"""What is read from the sums, as values. Of two that are of the same, the sum is by ``+``."""

from __future__ import annotations

from freellmapi.core.values import dataclass


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

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            *(self.provider, self.model, self.key_id),
            self.requests + other.requests,
            self.failures + other.failures,
            self.fallbacks + other.fallbacks,
            self.attempts + other.attempts,
            self.failed_attempts + other.failed_attempts,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.duration + other.duration,
        )


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

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            *(self.step, self.name),
            self.requests + other.requests,
            self.failures + other.failures,
            self.fallbacks + other.fallbacks,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class Failed:
    """How many ended so in a step: whole requests, or single calls."""

    step: int
    whole: bool
    kind: str
    n: int

    def __add__(self, other: Failed) -> Failed:
        return Failed(self.step, self.whole, self.kind, self.n + other.n)


@dataclass(frozen=True, slots=True)
class Latencies:
    """Packed histograms of answers: the whole duration, and the time to the first token."""

    durations: int = 0
    first_tokens: int = 0

    def __add__(self, other: Latencies) -> Latencies:
        return Latencies(self.durations + other.durations, self.first_tokens + other.first_tokens)
