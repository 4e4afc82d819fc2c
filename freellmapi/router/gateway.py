"""The middle of the house: one request in, one outcome out, one row in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Protocol

from freellmapi.core.cancel import Cancellation
from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import ErrorKind, GatewayError, UpstreamError
from freellmapi.core.route import Attempt, Candidate, Outcome, RoutePlan, TokenStream
from freellmapi.router.call import Tools
from freellmapi.router.configuration import Configuration
from freellmapi.router.continuation import is_resumable
from freellmapi.router.execute import Execution
from freellmapi.router.failure import failure
from freellmapi.router.headroom import Headroom
from freellmapi.router.health import Health
from freellmapi.router.judge import Picture
from freellmapi.router.line import Line
from freellmapi.router.measurements import Measurements
from freellmapi.router.places import Places
from freellmapi.router.plan import plan
from freellmapi.router.preferences import Preferences
from freellmapi.router.record import Caller, Record
from freellmapi.router.resolve import Wanted
from freellmapi.router.served import ServedStream
from freellmapi.router.sticky import Session, session_of
from freellmapi.router.traffic import Traffic
from freellmapi.router.waiting import next_slot, wait_for
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.request_log import LogWriteError

if TYPE_CHECKING:
    from freellmapi.router.explain import Explanation
    from freellmapi.router.quota import Meter

log = logging.getLogger(__name__)

REASONS_SHOWN = 5
BREATH = 0.0005
"""Seconds for others within a long explanation. With 0 gevent would not look who has come."""


class RequestLogger(Protocol):
    """Where finished requests are written."""

    def append(self, row: LoggedRequest) -> None:
        """Returns when the row is committed."""
        ...


class Gateway:
    """Serves requests. One for each process."""

    def __init__(
        self,
        configuration: Configuration,
        tools: Tools,
        requests: RequestLogger,
        health: Health,
        preferences: Preferences | None = None,
    ) -> None:
        self.configuration = configuration
        self.preferences = preferences or Preferences(
            Measurements(), tools.ledger, tools.cooldowns, tools.clock, Random()
        )
        self.tools = replace(
            tools,
            on_failure=self._learn,
            on_answer=health.answered,
            on_call_over=self._call_over,
        )
        self.windows: dict[str, int] = {}
        """Model ref -> context window learned from a refusal, in tokens."""
        self._line = Line()
        self._places = Places(tools.ledger, tools.clock)
        self.traffic = Traffic()
        self._requests = requests
        self.health = health

    def run(self, chat: ChatRequest, caller: Caller, cancel: Cancellation) -> Outcome:
        """Serve one request; ``GatewayError`` when nobody could.

        A whole answer is in the log when this returns. A stream is logged when its
        iterator ends or is closed, whichever is first.
        """
        record = Record(self.tools.clock, chat, caller, self.append)
        self.traffic.under_way += 1
        try:
            session = session_of(chat, caller.token_id)
            preference = self.preferences.of(chat, session, self.configuration.snapshot)
            wanted = preference.wanted
            execution = Execution(
                self.tools,
                chat,
                self.configuration.snapshot.settings,
                cancel,
                loyal=wanted.named or preference.stuck,
            )
            try:
                outcome = self._patiently(chat, caller.token_id, wanted, execution, cancel)
            finally:
                # Who was asked in vain belongs in the row of a failure most of all.
                record.outcome = execution.outcome
        except GatewayError as error:
            record.write(status=error.status, error=error.code)
            raise
        except Exception:
            record.write(status=500, error="internal_error")
            raise
        self._remember(session, outcome)
        if outcome.stream is None:
            record.write(status=200)
            return outcome
        return replace(outcome, stream=self._served(chat, wanted, execution, record, session))

    def _patiently(
        self,
        chat: ChatRequest,
        client: int | None,
        wanted: Wanted,
        execution: Execution,
        cancel: Cancellation,
    ) -> Outcome:
        """Run, and while only time is wanting, wait for a slot and run again."""
        clock, places, cost = self.tools.clock, self._places, execution.cost
        max_wait = self.configuration.snapshot.settings.max_wait
        give_up = clock.monotonic() + (max_wait if chat.max_wait is None else chat.max_wait)
        decided = self.plan(chat, wanted)
        outcome = execution.run(decided)
        while outcome.served_by is None:
            now = clock.now()
            latest = now + give_up - clock.monotonic()
            wait = None
            if execution.may_go_on:
                # Where others wait already, ours may be the turn before theirs.
                skipped = [*decided.skipped, *decided.at_caps(places.waited_for())]
                wait = next_slot(skipped, outcome.standing, places, client, cost, now, latest)
            if wait is None:
                raise self._failure(chat, outcome, decided, cancel)
            self.traffic.waiting += 1
            try:
                booked = wait_for(wait, self._line, places, client, cost, clock, cancel)
            finally:
                self.traffic.waiting -= 1
            decided = self.plan(chat, wanted)
            outcome = execution.run(decided, booked)
        return outcome

    def _served(
        self,
        chat: ChatRequest,
        wanted: Wanted,
        execution: Execution,
        record: Record,
        session: Session | None,
    ) -> ServedStream:
        """The stream as the client reads it: resumed elsewhere when its provider dies."""
        outcome = execution.outcome
        assert outcome.stream is not None
        recovery = chat.recovery or self.configuration.snapshot.settings.stream_recovery
        resume = None
        if recovery == "continue" and is_resumable(chat):

            def resume(said: str) -> tuple[TokenStream, str]:
                return execution.resume(self.plan(chat, wanted), said)

        def ended(error: UpstreamError | None) -> None:
            self.traffic.streams -= 1
            record.stream_ended(execution.outcome, error)
            if error is None:
                self._remember(session, execution.outcome)

        record.first_token_came()
        self.traffic.streams += 1
        return ServedStream(outcome.stream, chat.prompt_tokens, resume, ended)

    def _remember(self, session: Session | None, outcome: Outcome) -> None:
        """The conversation keeps the model that has answered it."""
        if outcome.served_by is not None:
            ttl = self.configuration.snapshot.settings.sticky_ttl
            self.preferences.served(session, outcome.served_by.ref, ttl)

    def plan(self, chat: ChatRequest, wanted: Wanted | None = None) -> RoutePlan:
        """The route for a request, before any I/O; 404 for an unknown model.

        Without ``wanted`` it is only shown: as for a fresh conversation, nothing explored.
        """
        picture = self.picture()
        if wanted is None:
            wanted = self.preferences.of(chat, None, picture.snapshot, explore=False).wanted
        return plan(chat, wanted, picture)

    def picture(self) -> Picture:
        """The state that routes are planned from, as it is now."""
        snapshot, tools = self.configuration.snapshot, self.tools
        return Picture(
            snapshot,
            tools.cooldowns,
            tools.ledger,
            tools.clock,
            self.windows,
            self._line,
            tools.calibration,
        )

    # What only an owner who looks asks for is loaded then: 4 ms of the start.

    @cached_property
    def meter(self) -> Meter:
        """What is left of the day."""
        from freellmapi.router.quota import Meter

        return Meter(self.picture)

    def explain(self, chat: ChatRequest, token_id: int | None = None) -> Explanation:
        """Who would serve the request and why; 404 for an unknown model. Changes nothing."""
        from freellmapi.router.explain import explain

        picture, preferences = self.picture(), self.preferences
        session = session_of(chat, token_id)
        preference = preferences.of(chat, session, picture.snapshot, explore=False)

        def pause() -> None:
            self.tools.clock.sleep(BREATH)

        return explain(chat, preference, picture, preferences.measurements, pause)

    def reconfigured(self) -> None:
        """The configuration has changed: keys that are good again are no longer benched."""
        self.health.reconfigured()

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
        self.traffic.ended(row)
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

    def _call_over(self, attempt: Attempt, first_token: float | None) -> None:
        self.preferences.measurements.record(attempt, first_token)
        if self.configuration.snapshot.settings.hedging:
            self.tools.hedging.record(attempt, first_token)

    def _learn(self, candidate: Candidate, error: UpstreamError) -> None:
        """What a failure teaches beyond its bench."""
        if error.kind is ErrorKind.CONTEXT_TOO_LONG and error.limit:
            self.windows[candidate.ref] = error.limit
        self.health.failed(candidate, error)
        log.info(
            "attempt failed provider=%s model=%s key=%s kind=%s status=%s reason=%s",
            candidate.provider.id,
            candidate.model.id,
            candidate.key_id,
            error.kind.value,
            error.status,
            error.message,
        )
