"""What became of a past request, as the log has it: for people."""

from __future__ import annotations

from freellmapi.core.errors import POLICY, ErrorKind
from freellmapi.core.route import Attempt
from freellmapi.core.values import dataclass
from freellmapi.router.snapshot import Snapshot
from freellmapi.storage.logged import LoggedRequest


@dataclass(frozen=True, slots=True)
class Tried:
    """One upstream call that was made."""

    model: str
    key: str
    key_label: str
    """Empty for a key that is no longer there."""
    after: float
    """Seconds from the request's arrival."""
    duration: float
    answered: bool
    kind: ErrorKind | None
    status: int | None
    """The provider's own; None when it did not answer."""
    reason: str
    """What the provider said."""
    benched: str | None
    """What the failure usually benches: key_model, key, model, pool, provider; or nothing."""
    prompt_tokens: int | None
    completion_tokens: int | None
    counted: bool
    """Whether the provider may have counted the call against its limits."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One request; durations are seconds from ``at`` (epoch seconds)."""

    request_id: str
    at: float
    model: str
    """What the client asked for."""
    stream: bool
    status: int
    error: str | None
    served_by: str | None
    key: str | None
    key_label: str
    prompt_tokens: int
    completion_tokens: int
    exact: bool
    """Whether the provider counted the tokens."""
    duration: float
    first_token: float | None
    resumed: bool
    """Whether a stream broke off and another candidate went on with the answer."""
    attempts: tuple[Tried, ...]


def happened(row: LoggedRequest, snapshot: Snapshot) -> Happened:
    """The row with the names that its keys have now."""
    return Happened(
        request_id=row.request_id,
        at=row.at,
        model=row.model,
        stream=row.stream,
        status=row.status,
        error=row.error,
        served_by=f"{row.provider}/{row.served_model}" if row.provider else None,
        key=row.key_id,
        key_label=_label(row.provider, row.key_id, snapshot),
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        exact=row.exact,
        duration=row.duration,
        first_token=row.first_token,
        resumed=_was_resumed(row),
        attempts=tuple(_tried(attempt, row.at, snapshot) for attempt in row.attempts),
    )


def _tried(attempt: Attempt, since: float, snapshot: Snapshot) -> Tried:
    usage, kind = attempt.usage, attempt.error
    return Tried(
        model=attempt.ref,
        key=attempt.key_id,
        key_label=_label(attempt.provider, attempt.key_id, snapshot),
        after=max(0.0, attempt.started_at - since),
        duration=attempt.duration,
        answered=kind is None,
        kind=kind,
        status=attempt.status,
        reason=attempt.message,
        benched=POLICY[kind].bench.value if kind is not None else None,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        counted=attempt.spent,
    )


def _label(provider: str | None, key_id: str | None, snapshot: Snapshot) -> str:
    keys = snapshot.keys.get(provider or "", ())
    return next((key.label for key in keys if key.id == key_id), "")


def _was_resumed(row: LoggedRequest) -> bool:
    """A stream of which more than one attempt gave a part, the last one its end."""
    parts = [a for a in row.attempts if a.usage is not None and a.usage.completion_tokens > 0]
    return row.stream and len(parts) > 1 and parts[-1].error is None
