"""The one loop that asks candidates until one answers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.route import Attempt, Candidate, Outcome, Reservation, RoutePlan, TokenStream
from freellmapi.router.ask import Answer, Ask, Turn
from freellmapi.router.call import Tools
from freellmapi.router.continuation import requests_for_the_rest
from freellmapi.router.hedge import rivals
from freellmapi.router.judge import cost
from freellmapi.router.left_out import capped
from freellmapi.router.lookahead import Lookahead
from freellmapi.router.places import Booked
from freellmapi.router.race import Race, Start
from freellmapi.router.retry import pause_before_retry
from freellmapi.router.settings import RouterSettings
from freellmapi.router.waiting import wait_until

SILENT = frozenset({ErrorKind.TIMEOUT, ErrorKind.UNREACHABLE})
"""Failures after which the provider's other models wait until everybody else was asked."""
RIVALS = 32
"""Next candidates among which the one beside a late one is chosen."""


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
        self._asked = 0
        if settings.hedging:
            tools.hedging.came(tools.clock.now())
        self._deadline = tools.clock.monotonic() + settings.attempt_budget
        self._tries_left = settings.max_attempts
        self._retried = False

    def run(self, plan: RoutePlan, booked: Booked | None = None) -> Outcome:
        """Ask candidates until one answers; without ``served_by``, none did.

        ``booked`` is a slot that was waited for: its candidate is asked first.
        """
        first = (booked.candidate,) if booked else ()
        upcoming = Lookahead(itertools.chain(first, plan.candidates))
        self._asked = 0
        for candidate in upcoming:
            reservation = booked.reservation if booked else self._reserve(candidate)
            booked = None
            if reservation is None:
                plan.found.append(capped(candidate, self._opens_at(candidate)))
                continue
            if not self._may_try() or (self._asked and self._is_benched(candidate)):
                self._tools.ledger.settle(reservation, None, spent=False)
                continue
            self._asked += 1
            error = self._try(candidate, reservation, upcoming)
            if error is None:
                break
            self._limit_tries(error)
            if error.kind in SILENT:
                upcoming.put_off(candidate.provider.id)
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

    def _may_try(self) -> bool:
        """Whether budget and attempts allow one more; a failover is always allowed."""
        if self._tries_left <= 0 or self._cancel.cancelled:
            return False
        return self._asked < 2 or self._tools.clock.monotonic() < self._deadline

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
        error = self._in_any_form(candidate, reservation, upcoming)
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
        return self._in_any_form(candidate, again, upcoming)

    def _in_any_form(
        self, candidate: Candidate, reservation: Reservation, upcoming: Lookahead
    ) -> UpstreamError | None:
        """The request, or its next form when the candidate refuses the first one."""
        error = self._attempt(self._forms[0], candidate, reservation, upcoming)
        for form in self._forms[1:]:
            if error is None or error.kind is not ErrorKind.REQUEST_REFUSED:
                break
            again = self._reserve(candidate)
            if again is None:
                break
            error = self._attempt(form, candidate, again, upcoming)
        return error

    def _pause_before_retry(
        self, candidate: Candidate, error: UpstreamError, upcoming: Lookahead
    ) -> float | None:
        """Seconds after which the same candidate is asked again, once a request; or None."""
        # Looked at first, since to look may pass over who is at a cap.
        following = upcoming.peek()
        if self._retried or self._cancel.cancelled:
            return None
        patience = self._settings.patience
        return pause_before_retry(candidate, error, following, loyal=self._loyal, patience=patience)

    def _reserve(self, candidate: Candidate) -> Reservation | None:
        tools = self._tools
        return tools.ledger.reserve(candidate.buckets, self.cost(candidate), tools.clock.now())

    def _opens_at(self, candidate: Candidate) -> float:
        tools = self._tools
        return tools.ledger.opens_at(candidate.buckets, self.cost(candidate), tools.clock.now())

    def cost(self, candidate: Candidate) -> int:
        """Tokens that a call to this candidate is held to take."""
        return cost(self._chat, candidate.model, self._tools.calibration)

    def _attempt(
        self,
        form: ChatRequest,
        candidate: Candidate,
        reservation: Reservation,
        upcoming: Lookahead,
    ) -> UpstreamError | None:
        """Ask one candidate; the outcome holds its answer unless an error is returned."""
        start = self._start(form, candidate, reservation, upcoming)
        late_after = self._late_after(candidate, upcoming)
        try:
            if late_after is None:
                answer = start(self._cancel, lambda: True)
            else:
                answer = self._side_by_side(start, late_after, candidate, upcoming)
        except UpstreamError as error:
            return error
        attempts = self.outcome.attempts
        self.outcome = Outcome(attempts, answer.by, answer.completion, answer.stream)
        return None

    def _start(
        self,
        form: ChatRequest,
        candidate: Candidate,
        reservation: Reservation,
        upcoming: Lookahead,
    ) -> Start:
        """One attempt, ready to begin."""
        self._tries_left -= 1
        turn = Turn(not self.outcome.attempts, not upcoming.has_more(), self._deadline)
        ask = Ask(self._tools, self._chat, self._settings, self._over)
        return partial(ask, form, candidate, reservation, turn)

    def _late_after(self, candidate: Candidate, upcoming: Lookahead) -> float | None:
        """Seconds after which a second candidate is asked beside this one; None: never."""
        if not self._settings.hedging or len(self._forms) > 1 or not self._may_hedge():
            return None
        late_after = self._tools.hedging.late_after(candidate.ref, self._chat.stream)
        return late_after if late_after is not None and upcoming.has_more() else None

    def _may_hedge(self) -> bool:
        return self._tries_left > 0 and self._tools.hedging.allows(self._settings.hedging_share)

    def _side_by_side(
        self, start: Start, late_after: float, candidate: Candidate, upcoming: Lookahead
    ) -> Answer:
        """The answer of whoever is first: this candidate, or the one asked when it is late."""
        race = Race(self._cancel)
        try:
            return race.run(start, late_after, lambda: self._rival(candidate, upcoming))
        except UpstreamError:
            for error in race.errors[1:]:
                self._limit_tries(error)
            raise

    def _rival(self, late: Candidate, upcoming: Lookahead) -> Start | None:
        """The candidate that is asked beside a late one, out of its turn; None: nobody is."""
        if not self._may_hedge():
            return None
        for rival in rivals(late, upcoming.some(RIVALS), loyal=self._loyal):
            reservation = None if self._is_benched(rival) else self._reserve(rival)
            if reservation is not None:
                upcoming.take(rival)
                self._asked += 1
                self._tools.hedging.hedged()
                return self._start(self._forms[0], rival, reservation, upcoming)
        return None

    def _over(self, attempt: Attempt) -> None:
        self.outcome = self.outcome.then(attempt)
