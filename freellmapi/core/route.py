"""Ways to serve a request, the decision among them, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import Completion
from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Bucket, Usage


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to serve a request: a model of a provider, with one key. Never the secret."""

    provider: Provider
    model: Model
    key_id: str
    buckets: tuple[Bucket, ...] = ()

    @property
    def ref(self) -> str:
        return self.model.ref


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate left out, why, and until when (epoch seconds; None: not a matter of time)."""

    ref: str
    key_id: str
    reason: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """The decision before any I/O: candidates lazily ordered, best first."""

    candidates: Iterable[Candidate]
    skipped: list[Skipped]


@dataclass(frozen=True, slots=True)
class Reservation:
    """Headroom held for one call in each of ``buckets``; settled exactly once."""

    id: int
    buckets: tuple[Bucket, ...]
    tokens: int
    at: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One upstream call that was made."""

    provider: str
    model: str
    key_id: str
    started_at: float
    duration: float
    error: ErrorKind | None = None
    status: int | None = None
    message: str = ""
    usage: Usage | None = None
    spent: bool = True

    @property
    def ref(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the request ended so far: the attempts in order, and who serves it."""

    attempts: tuple[Attempt, ...] = ()
    served_by: Candidate | None = None
    completion: Completion | None = None

    @property
    def failed(self) -> tuple[Attempt, ...]:
        return tuple(a for a in self.attempts if a.error is not None)

    def then(self, attempt: Attempt) -> Outcome:
        return replace(self, attempts=(*self.attempts, attempt))
