"""One request's row in the log, written once."""

from __future__ import annotations

import logging
from collections.abc import Callable

from freellmapi.core.chat import ChatRequest
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt, Outcome
from freellmapi.core.values import dataclass
from freellmapi.storage.logged import LoggedRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    request_id: str
    token_id: int | None = None


class Record:
    """Gathers what the log says of a request; ``append`` commits it."""

    def __init__(
        self,
        clock: Clock,
        chat: ChatRequest,
        caller: Caller,
        append: Callable[[LoggedRequest], None],
    ) -> None:
        self.outcome = Outcome()
        self._clock = clock
        self._chat = chat
        self._caller = caller
        self._append = append
        self._at = clock.now()
        self._started = clock.monotonic()
        self._first_token: float | None = None

    def first_token_came(self) -> None:
        self._first_token = self._clock.monotonic() - self._started

    def stream_ended(self, outcome: Outcome, error: UpstreamError | None) -> None:
        """The stream is over for the client, with the error that it saw or None."""
        self.outcome = outcome
        gone = error is not None and error.kind is ErrorKind.CLIENT_GONE
        self.write(status=499 if gone else 200, error=error.kind.value if error else None)

    def write(self, *, status: int, error: str | None = None) -> None:
        """Commit the row."""
        outcome = self.outcome
        served = next((a for a in reversed(outcome.attempts) if a.usage is not None), None)
        usage = _consumed(outcome.attempts)
        duration = self._clock.monotonic() - self._started
        self._append(
            LoggedRequest(
                request_id=self._caller.request_id,
                at=self._at,
                token_id=self._caller.token_id,
                model=self._chat.model,
                stream=self._chat.stream,
                status=status,
                error=error,
                provider=served.provider if served else None,
                served_model=served.model if served else None,
                key_id=served.key_id if served else None,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                exact=usage.exact,
                duration=duration,
                first_token=self._first_token,
                attempts=outcome.attempts,
            )
        )
        log.info(
            "request=%s model=%s status=%d served_by=%s attempts=%d ms=%.0f%s",
            self._caller.request_id,
            self._chat.model,
            status,
            served.ref if served else "-",
            len(outcome.attempts),
            duration * 1000,
            f" error={error}" if error else "",
        )


def _consumed(attempts: tuple[Attempt, ...]) -> Usage:
    """What all calls took together: a stream that was resumed has several."""
    counted = [a.usage for a in attempts if a.usage is not None]
    if len(counted) == 1:
        return counted[0]
    return Usage(
        sum(u.prompt_tokens for u in counted),
        sum(u.completion_tokens for u in counted),
        exact=all(u.exact for u in counted),
    )
