"""The middle of the house: one request in, one outcome out, one row in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from freellmapi.core.cancel import Cancellation
from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import Bench, ErrorKind, GatewayError, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt, Candidate, Outcome, RoutePlan
from freellmapi.router.call import Tools
from freellmapi.router.configuration import Configuration
from freellmapi.router.execute import Execution
from freellmapi.router.failure import failure
from freellmapi.router.ledger import Headroom
from freellmapi.router.plan import Picture, plan
from freellmapi.router.resolve import resolve
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.request_log import LogWriteError

log = logging.getLogger(__name__)

REASONS_SHOWN = 5


class RequestLogger(Protocol):
    """Where finished requests are written."""

    def append(self, row: LoggedRequest) -> None:
        """Returns when the row is committed."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    request_id: str
    token_id: int | None = None


class Gateway:
    """Serves requests. One for each process."""

    def __init__(
        self,
        configuration: Configuration,
        tools: Tools,
        requests: RequestLogger,
        on_key_rejected: Callable[[str, str], None],
    ) -> None:
        self.configuration = configuration
        self.tools = replace(tools, on_failure=self._learn)
        self.windows: dict[str, int] = {}
        """Model ref -> context window learned from a refusal, in tokens."""
        self._requests = requests
        self._on_key_rejected = on_key_rejected

    def run(self, chat: ChatRequest, caller: Caller, cancel: Cancellation) -> Outcome:
        """Serve one request; ``GatewayError`` when nobody could.

        A whole answer is in the log when this returns. A stream is logged when its
        iterator ends or is closed, whichever is first.
        """
        record = _Record(self, chat, caller)
        try:
            decided = self.plan(chat)
            execution = Execution(
                self.tools,
                chat,
                self.configuration.snapshot.settings,
                cancel,
                record.stream_ended,
            )
            outcome = execution.run(decided)
            if outcome.served_by is None:
                record.begun(outcome)
                raise self._failure(chat, outcome, decided, cancel)
        except GatewayError as error:
            record.write(status=error.status, error=error.code)
            raise
        except Exception:
            record.write(status=500, error="internal_error")
            raise
        record.begun(outcome)
        if outcome.stream is None:
            record.write(status=200)
        return outcome

    def plan(self, chat: ChatRequest) -> RoutePlan:
        """The route for a request, before any I/O; 404 for an unknown model."""
        snapshot = self.configuration.snapshot
        tools = self.tools
        picture = Picture(snapshot, tools.cooldowns, tools.ledger, tools.clock, self.windows)
        return plan(chat, resolve(chat, snapshot), picture)

    def reconfigured(self) -> None:
        """The configuration has changed: keys that are good again are no longer benched."""
        cooldowns = self.tools.cooldowns
        for keys in self.configuration.snapshot.keys.values():
            for key in keys:
                if key.usable:
                    cooldowns.clear(f"key {key.provider}/{key.id}", ErrorKind.KEY_REJECTED)

    def headroom(self, candidate: Candidate) -> list[Headroom]:
        """What the pool has left for the served model: one entry a key."""
        ledger, now = self.tools.ledger, self.tools.clock.now()
        pool = self.configuration.snapshot.candidates.get(candidate.ref, ())
        return [ledger.headroom(c.buckets, now) for c in pool]

    def unavailable(self, models: Sequence[Model]) -> str | None:
        """Why none of these models could be asked right now, or None if one could."""
        snapshot, tools = self.configuration.snapshot, self.tools
        now = tools.clock.now()
        reasons: list[str] = []
        for model in models:
            candidates = snapshot.candidates.get(model.ref, ())
            if not candidates:
                reasons.append(snapshot.why_no_candidate(model))
            for candidate in candidates:
                bench = tools.cooldowns.blocking(candidate, now)
                if bench is not None:
                    reasons.append(bench.reason)
                elif tools.ledger.opens_at(candidate.buckets, 1, now) > now:
                    reasons.append("at its cap")
                else:
                    return None
        return "; ".join(dict.fromkeys(reasons[:REASONS_SHOWN])) or "no model is enabled"

    def append(self, row: LoggedRequest) -> None:
        """Log a request. A log that cannot be written does not cost the client its answer."""
        try:
            self._requests.append(row)
        except LogWriteError as exc:
            log.error("request log not written request=%s: %s", row.request_id, exc)

    def _failure(
        self, chat: ChatRequest, outcome: Outcome, decided: RoutePlan, cancel: Cancellation
    ) -> GatewayError:
        if cancel.cancelled:
            return GatewayError(
                499, "The client left.", code="client_closed_request", type="api_error"
            )
        snapshot = self.configuration.snapshot
        any_key = any(key.usable for keys in snapshot.keys.values() for key in keys)
        return failure(chat, outcome, decided.skipped, any_key, self.tools.clock.now())

    def _learn(self, candidate: Candidate, error: UpstreamError) -> None:
        """What a failure teaches beyond its bench."""
        if error.kind is ErrorKind.CONTEXT_TOO_LONG and error.limit:
            self.windows[candidate.ref] = error.limit
        if error.kind is ErrorKind.KEY_REJECTED and error.bench in (None, Bench.KEY):
            self._on_key_rejected(candidate.key_id, error.message)
        log.info(
            "attempt failed provider=%s model=%s key=%s kind=%s status=%s reason=%s",
            candidate.provider.id,
            candidate.model.id,
            candidate.key_id,
            error.kind.value,
            error.status,
            error.message,
        )


class _Record:
    """One request's row in the log, written once."""

    def __init__(self, gateway: Gateway, chat: ChatRequest, caller: Caller) -> None:
        self._gateway = gateway
        self._chat = chat
        self._caller = caller
        self._clock = gateway.tools.clock
        self._at = self._clock.now()
        self._started = self._clock.monotonic()
        self._first_token: float | None = None
        self._outcome = Outcome()

    def begun(self, outcome: Outcome) -> None:
        self._outcome = outcome
        if outcome.stream is not None:
            self._first_token = self._clock.monotonic() - self._started

    def stream_ended(self, attempt: Attempt) -> None:
        self._outcome = self._outcome.then(attempt)
        error = attempt.error
        status = 499 if error is ErrorKind.CLIENT_GONE else 200
        self.write(status=status, error=error.value if error else None)

    def write(self, *, status: int, error: str | None = None) -> None:
        outcome = self._outcome
        served = outcome.attempts[-1] if outcome.served_by and outcome.attempts else None
        usage = (served.usage if served else None) or Usage(0, 0, exact=served is None)
        duration = self._clock.monotonic() - self._started
        self._gateway.append(
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
