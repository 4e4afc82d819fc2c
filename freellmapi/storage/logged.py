"""A row of the request log, as a value and as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt
from freellmapi.core.values import dataclass


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """How one request ended. ``at`` is when it came; durations are seconds from then.

    ``model`` is what the client asked for, ``provider`` and ``served_model`` who answered
    (None: nobody). ``key_id`` is text: a stored key's row id, ``env:NAME``, ``anonymous``.
    ``exact`` says that the provider counted the tokens. ``id`` is the row's own, None until
    it is read back.
    """

    request_id: str
    at: float
    token_id: int | None
    model: str
    stream: bool
    status: int
    error: str | None
    provider: str | None
    served_model: str | None
    key_id: str | None
    prompt_tokens: int
    completion_tokens: int
    exact: bool
    duration: float
    first_token: float | None
    attempts: tuple[Attempt, ...]
    id: int | None = None

    @property
    def failed(self) -> bool:
        """Whether the client got an error instead of a whole answer."""
        return self.error is not None or self.status >= 400

    @property
    def fell_back(self) -> bool:
        """Whether one candidate was not enough; who was overtaken in a race did not fail."""
        attempts = self.attempts
        return len(attempts) > 1 and sum(a.error is not ErrorKind.HEDGED_OUT for a in attempts) > 1


def request_values(id: int, row: LoggedRequest) -> tuple[object, ...]:
    """In the order of the columns of ``requests``."""
    return (
        id,
        row.request_id,
        row.at,
        row.token_id,
        row.model,
        row.stream,
        row.status,
        row.error,
        row.provider,
        row.served_model,
        row.key_id,
        row.prompt_tokens,
        row.completion_tokens,
        row.exact,
        row.duration,
        row.first_token,
    )


def attempt_values(log_id: int, n: int, attempt: Attempt) -> tuple[object, ...]:
    """In the order of the columns of ``attempts``."""
    usage = attempt.usage
    return (
        log_id,
        n,
        attempt.provider,
        attempt.model,
        attempt.key_id,
        attempt.started_at,
        attempt.duration,
        attempt.error.value if attempt.error else None,
        attempt.status,
        attempt.message,
        attempt.spent,
        *(_usage_values(usage) if usage else (None,) * 5),
    )


def _usage_values(usage: Usage) -> tuple[object, ...]:
    return (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.exact,
        usage.reasoning_tokens,
        usage.cached_tokens,
    )


def read_request(row: Row[Any], attempts: Sequence[Row[Any]]) -> LoggedRequest:
    fields = dict(row._mapping)
    return LoggedRequest(**fields, attempts=tuple(_read_attempt(a) for a in attempts))


def _read_attempt(row: Row[Any]) -> Attempt:
    usage = None
    if row.prompt_tokens is not None:
        usage = Usage(
            row.prompt_tokens,
            row.completion_tokens,
            row.exact,
            row.reasoning_tokens,
            row.cached_tokens,
        )
    return Attempt(
        provider=row.provider,
        model=row.model,
        key_id=row.key_id,
        started_at=row.started_at,
        duration=row.duration,
        error=ErrorKind(row.error) if row.error else None,
        status=row.status,
        message=row.message,
        usage=usage,
        spent=row.spent,
    )
