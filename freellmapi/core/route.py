"""Ways to serve a request, the decision among them, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Protocol

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import Chunk, Completion
from freellmapi.core.errors import Bench, ErrorKind
from freellmapi.core.limits import NO_LIMITS, Bucket, Usage
from freellmapi.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to serve a request: a model of a provider, with one key. Never the secret."""

    provider: Provider
    model: Model
    key_id: str
    buckets: tuple[Bucket, ...] = ()
    scopes: Mapping[Bench, str] = field(default_factory=dict, compare=False)
    """The names of what a bench may cover, made once for each candidate."""

    @classmethod
    def of(cls, provider: Provider, model: Model, key_id: str) -> Candidate:
        """A candidate with its counters and bench names."""
        account = "ip" if provider.pool == "ip" else key_id
        pool = f"{provider.id}/{account}"
        buckets = [Bucket(f"{pool}/{model.id}", model.limits, provider.reset_zone)]
        if provider.account_limits != NO_LIMITS:
            buckets.append(Bucket(pool, provider.account_limits, provider.reset_zone))
        scopes = {
            Bench.KEY_MODEL: f"key_model {provider.id}/{key_id}/{model.id}",
            Bench.KEY: f"key {provider.id}/{key_id}",
            Bench.MODEL: f"model {model.ref}",
            Bench.POOL: f"pool {pool}",
            Bench.PROVIDER: f"provider {provider.id}",
        }
        return cls(provider, model, key_id, tuple(buckets), scopes)

    @property
    def ref(self) -> str:
        return self.model.ref


class Gate(str, Enum):
    """What a candidate must pass before it is asked."""

    CAPABILITY = "capability"
    GONE = "gone"
    """Its provider no longer has the model."""
    KEY = "key"
    BENCH = "bench"
    HEADROOM = "headroom"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate left out: at which gate, why, and until when.

    ``until`` is in epoch seconds; None when it is no matter of time.
    """

    ref: str
    key_id: str
    gate: Gate
    reason: str
    until: float | None = None
    kind: ErrorKind | None = None
    """What it is benched for."""
    candidate: Candidate | None = field(default=None, repr=False)
    """None when a whole model was left out."""
    own: bool = False
    """Whether nothing but our own judgement benches it."""
    others: int = 0
    """How many more models were left out for which the listed ones stand."""


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """The decision before any I/O: candidates lazily ordered, best first."""

    candidates: Iterable[Candidate]
    found: list[Skipped]
    """Who was left out so far."""
    judge_passed: Callable[[], None] = lambda: None
    """Adds to ``found`` what there is to say of models that were passed by unlooked at."""
    at_caps: Callable[[Sequence[Candidate]], list[Skipped]] = lambda candidates: []
    """Which of these could be asked but for their caps, each as it was left out."""

    @property
    def skipped(self) -> list[Skipped]:
        """Who was left out, and why; of those that are alike, the first to open."""
        self.judge_passed()
        return self.found


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
    opens_at: float | None = None
    """When the wait that the failure stated or stands for is over, in epoch seconds."""
    streamed: bool = field(default=False, compare=False)
    """Whether a stream was asked for; the log does not keep it."""

    @property
    def ref(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def failed(self) -> bool:
        """Whether it ended in an error; being overtaken by another call is none."""
        return self.error is not None and self.error is not ErrorKind.HEDGED_OUT


class TokenStream(Protocol):
    """A streamed answer whose first token has arrived. Close it, whether read or not."""

    def __next__(self) -> list[Chunk]: ...

    def __iter__(self) -> TokenStream: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the request ended so far: the attempts in order, and who serves it."""

    attempts: tuple[Attempt, ...] = ()
    served_by: Candidate | None = None
    completion: Completion | None = None
    stream: TokenStream | None = None

    @property
    def failed(self) -> tuple[Attempt, ...]:
        return tuple(a for a in self.attempts if a.failed)

    @property
    def standing(self) -> tuple[Attempt, ...]:
        """The last call to each candidate, where it failed: what holds by now."""
        judged = (a for a in self.attempts if a.error is not ErrorKind.HEDGED_OUT)
        last = {(a.ref, a.key_id): a for a in judged}
        return tuple(a for a in last.values() if a.failed)

    def then(self, attempt: Attempt) -> Outcome:
        # Not by ``replace``, which looks at each field: half of what this costs.
        return Outcome((*self.attempts, attempt), self.served_by, self.completion, self.stream)
