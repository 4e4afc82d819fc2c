"""The one loop that asks candidates until one answers."""

from __future__ import annotations

import itertools
from dataclasses import replace

from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.route import Attempt, Candidate, Outcome, Reservation, RoutePlan, TokenStream
from freellmapi.router.ask import Ask, Turn
from freellmapi.router.call import Tools
from freellmapi.router.continuation import requests_for_the_rest
from freellmapi.router.lookahead import Lookahead
from freellmapi.router.plan import capped, tokens_to_reserve
from freellmapi.router.settings import RouterSettings
from freellmapi.router.waiting import Booked, wait_until

RETRY_PAUSE = 0.25
"""Seconds before the same candidate is asked once more."""
RETRIED_FOR_LOYALTY = (500, 502, None)
"""Statuses after which a named model is worth a second try; None is a reset connection."""
WORTH_A_SECOND_TRY = frozenset({ErrorKind.SERVER_ERROR, ErrorKind.BAD_ANSWER})


class Execution:
    """One request on its way through its candidates, and through those of its rest."""

    def __init__(
        self,
        tools: Tools,
        chat: ChatRequest,
        settings: RouterSettings,
        cancel: Cancellation,
        *,
        loyal: bool = False,
    ) -> None:
        self.outcome = Outcome()
        self._tools = tools
        self._chat = chat
        self._forms: tuple[ChatRequest, ...] = (chat,)
        self._settings = settings
        self._cancel = cancel
        self._loyal = loyal
        self._ask = Ask(tools, chat, settings, self._over)
        self._deadline = tools.clock.monotonic() + settings.attempt_budget
        self._tries_left = settings.max_attempts
        self._retried = False

    def run(self, plan: RoutePlan, booked: Booked | None = None) -> Outcome:
        """Ask candidates until one answers; without ``served_by``, none did.

        ``booked`` is a slot that was waited for: its candidate is asked first.
        """
        first = (booked.candidate,) if booked else ()
        upcoming = Lookahead(itertools.chain(first, plan.candidates))
        asked = 0
        for candidate in upcoming:
            reservation = booked.reservation if booked and not asked else self._reserve(candidate)
            booked = None
            if reservation is None:
                plan.skipped.append(capped(candidate, self._opens_at(candidate)))
                continue
            if not self._may_try(asked) or (asked and self._is_benched(candidate)):
                self._tools.ledger.settle(reservation, None, spent=False)
                continue
            asked += 1
            error = self._try(candidate, reservation, upcoming)
            if error is None:
                break
            self._limit_tries(error)
        return self.outcome

    def resume(self, plan: RoutePlan, said: str) -> tuple[TokenStream, str]:
        """A stream that goes on after ``said``, and who gives it.

        ``UpstreamError`` (of the last attempt) when nobody can.
        """
        self._forms = tuple(requests_for_the_rest(self._chat, said))
        self._deadline = self._tools.clock.monotonic() + self._settings.attempt_budget
        self.outcome = replace(self.outcome, served_by=None, stream=None)
        outcome = self.run(plan)
        if outcome.served_by is None or outcome.stream is None:
            last = outcome.failed[-1]
            message = f"{last.message}, and nobody could go on with the answer"
            raise UpstreamError(ErrorKind.STREAM_BROKEN, message, status=last.status)
        return outcome.stream, outcome.served_by.ref

    @property
    def may_go_on(self) -> bool:
        """Whether attempts are left for another round, and somebody to answer to."""
        return self._tries_left > 0 and not self._cancel.cancelled

    def _may_try(self, asked: int) -> bool:
        """Whether budget and attempts allow one more; a failover is always allowed."""
        if self._tries_left <= 0 or self._cancel.cancelled:
            return False
        return asked < 2 or self._tools.clock.monotonic() < self._deadline

    def _is_benched(self, candidate: Candidate) -> bool:
        """Whether a failure since it was drawn speaks for this candidate too."""
        tools = self._tools
        return tools.cooldowns.blocking(candidate, tools.clock.now()) is not None

    def _limit_tries(self, error: UpstreamError) -> None:
        limit = error.policy.tries_after
        if limit is not None:
            self._tries_left = min(self._tries_left, limit)

    def _try(
        self, candidate: Candidate, reservation: Reservation, upcoming: Lookahead
    ) -> UpstreamError | None:
        """Ask one candidate, once more where that is worth it; None when it answered."""
        error = self._in_any_form(candidate, reservation, last=not upcoming.has_more())
        if error is None:
            return None
        pause = self._pause_before_retry(candidate, error, upcoming)
        if pause is None:
            return error
        self._retried = True
        wait_until(self._tools.clock, self._tools.clock.now() + pause, self._cancel)
        again = None if self._cancel.cancelled else self._reserve(candidate)
        if again is None:
            return error
        return self._in_any_form(candidate, again, last=not upcoming.has_more())

    def _in_any_form(
        self, candidate: Candidate, reservation: Reservation, *, last: bool
    ) -> UpstreamError | None:
        """The request, or its next form when the candidate refuses the first one."""
        error = self._attempt(self._forms[0], candidate, reservation, last)
        for form in self._forms[1:]:
            if error is None or error.kind is not ErrorKind.REQUEST_REFUSED:
                break
            again = self._reserve(candidate)
            if again is None:
                break
            error = self._attempt(form, candidate, again, last)
        return error

    def _pause_before_retry(
        self, candidate: Candidate, error: UpstreamError, upcoming: Lookahead
    ) -> float | None:
        """Seconds after which the same candidate is asked again; None: it is not.

        Once a request: where it is the last there is, or where the caller is loyal to its
        model and only another model would come next.
        """
        following = upcoming.peek()
        if self._retried or self._cancel.cancelled:
            return None
        if following is not None and (
            not self._loyal or following.model.family == candidate.model.family
        ):
            return None
        if error.kind is ErrorKind.RATE_LIMITED:
            wait = error.retry_after
            near = wait is not None and wait <= self._settings.patience
            return wait if near and self._loyal else None
        if error.kind not in WORTH_A_SECOND_TRY or error.retry_after is not None:
            return None
        if following is None:
            return RETRY_PAUSE
        return RETRY_PAUSE if error.status in RETRIED_FOR_LOYALTY else None

    def _reserve(self, candidate: Candidate) -> Reservation | None:
        tools = self._tools
        return tools.ledger.reserve(
            candidate.buckets, tokens_to_reserve(self._chat), tools.clock.now()
        )

    def _opens_at(self, candidate: Candidate) -> float:
        tools = self._tools
        return tools.ledger.opens_at(
            candidate.buckets, tokens_to_reserve(self._chat), tools.clock.now()
        )

    def _attempt(
        self, form: ChatRequest, candidate: Candidate, reservation: Reservation, last: bool
    ) -> UpstreamError | None:
        """Ask one candidate; the outcome holds its answer unless an error is returned."""
        self._tries_left -= 1
        turn = Turn(not self.outcome.attempts, last, self._deadline)
        try:
            answer = self._ask(form, candidate, reservation, turn, self._cancel)
        except UpstreamError as error:
            return error
        self.outcome = replace(
            self.outcome,
            served_by=answer.by,
            completion=answer.completion,
            stream=answer.stream,
        )
        return None

    def _over(self, attempt: Attempt) -> None:
        self.outcome = self.outcome.then(attempt)
