"""The one loop that asks candidates until one answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest, Completion
from freellmapi.core.errors import Bench, ErrorKind, UpstreamError
from freellmapi.core.estimate import DEFAULT_OUTPUT, prompt_tokens
from freellmapi.core.limits import Usage
from freellmapi.core.route import Candidate, Outcome, Reservation, RoutePlan, TokenStream
from freellmapi.providers.chunks import as_chunks, usage_dict
from freellmapi.providers.classify import classify
from freellmapi.providers.transport import Response
from freellmapi.providers.wire import Rescues, Wire
from freellmapi.router.call import Call, Tools
from freellmapi.router.conformance import misfit, unfenced
from freellmapi.router.continuation import requests_for_the_rest
from freellmapi.router.plan import capped, tokens_to_reserve
from freellmapi.router.settings import RouterSettings
from freellmapi.router.stream import AnswerStream, Rechunked, StreamEnd
from freellmapi.router.waiting import Booked, wait_until

RETRY_PAUSE = 0.25
"""Seconds before the same candidate is asked once more."""
RETRIED_FOR_LOYALTY = (500, 502, None)
"""Statuses after which a named model is worth a second try; None is a reset connection."""
REFUSAL_TIMEOUT = 5.0
"""Seconds for the body of a refusal whose status is known."""
WORTH_A_SECOND_TRY = frozenset({ErrorKind.SERVER_ERROR, ErrorKind.BAD_ANSWER})
# A whole answer takes as long as its tokens do: the wait for its first byte grows by the
# first-byte timeout once for so many tokens that were asked for.
TOKENS_PER_WAIT = 768


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
        self._deadline = tools.clock.monotonic() + settings.attempt_budget
        self._tries_left = settings.max_attempts
        self._retried = False

    def run(self, plan: RoutePlan, booked: Booked | None = None) -> Outcome:
        """Ask candidates until one answers; without ``served_by``, none did.

        ``booked`` is a slot that was waited for: its candidate is asked first.
        """
        upcoming = _Lookahead(
            itertools.chain([booked.candidate] if booked else (), plan.candidates)
        )
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
        self, candidate: Candidate, reservation: Reservation, upcoming: _Lookahead
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
        self, candidate: Candidate, error: UpstreamError, upcoming: _Lookahead
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
        self, chat: ChatRequest, candidate: Candidate, reservation: Reservation, last: bool
    ) -> UpstreamError | None:
        """Ask one candidate; the outcome holds its answer unless an error is returned."""
        tools = self._tools
        self._tries_left -= 1
        tools.cooldowns.begin(candidate)
        call = Call(tools, candidate, reservation)
        try:
            self.outcome = self._ask(chat, call, last)
        except UpstreamError as error:
            self.outcome = self.outcome.then(call.failed(error))
            return error
        except BaseException:
            call.abandoned()
            raise
        return None

    def _ask(self, chat: ChatRequest, call: Call, last: bool) -> Outcome:
        tools, candidate = self._tools, call.candidate
        endpoint = tools.endpoints.of(candidate.provider, candidate.key_id)
        wire = tools.wires[candidate.provider.wire]
        told = tools.inlined(chat, candidate.provider, candidate.model)
        message = wire.call(told, candidate.provider, candidate.model)
        deadline = tools.clock.monotonic() + self._patience(candidate, last)
        response = tools.transport.post(
            endpoint,
            message.path,
            message.body,
            connect_timeout=self._settings.connect_timeout,
            first_byte_timeout=deadline - tools.clock.monotonic(),
            cancel=self._cancel,
        )
        try:
            if response.status != 200:
                return self._refused(call, response, wire, deadline)
            if chat.stream:
                return self._streamed(call, response, wire, deadline)
            return self._whole(call, response, wire, deadline)
        except BaseException:
            response.close()
            raise

    def _patience(self, candidate: Candidate, last: bool) -> float:
        """Seconds to the first token of a stream, or to the end of a whole answer."""
        settings = self._settings
        first = candidate.provider.first_byte_timeout or settings.first_byte_timeout
        longest = max(settings.last_first_byte_timeout, first)
        if last and not self.outcome.attempts:
            return longest
        if not self._chat.stream:
            first *= 1 + min(self._chat.max_tokens or DEFAULT_OUTPUT, 4096) / TOKENS_PER_WAIT
        wanted = longest if last else min(first, longest)
        left = self._deadline - self._tools.clock.monotonic()
        return max(min(wanted, left), settings.first_byte_timeout)

    def _refused(self, call: Call, response: Response, wire: Wire, deadline: float) -> Outcome:
        """Raises what the refusal means, unless an answer can be read out of it."""
        clock, provider, model = self._tools.clock, call.candidate.provider, call.candidate.model
        try:
            left = deadline - clock.monotonic()
            body = response.read(max(1.0, min(left, REFUSAL_TIMEOUT)))
        except UpstreamError as exc:
            if exc.kind is ErrorKind.CLIENT_GONE:
                raise
            # Its status says enough when the reason does not come.
            body = b""
        response.close()
        if response.status == 400 and self._chat.tools and isinstance(wire, Rescues):
            completion = wire.rescued(body, provider, model, self._chat.tools)
            if completion is not None:
                return self._answered(call, completion)
        raise classify(response.status, response.headers, body, provider, clock.now())

    def _whole(self, call: Call, response: Response, wire: Wire, deadline: float) -> Outcome:
        provider, model = call.candidate.provider, call.candidate.model
        body = response.read(max(0.001, deadline - self._tools.clock.monotonic()))
        response.close()
        completion = wire.completion(body, response.headers, provider, model, self._chat.tools)
        completion = unfenced(completion, self._chat)
        wrong = misfit(completion, self._chat)
        if wrong is not None:
            # The model may well do better with the next request: nothing is benched.
            raise UpstreamError(ErrorKind.BAD_ANSWER, wrong, bench=Bench.NOTHING)
        return self._answered(call, completion)

    def _answered(self, call: Call, completion: Completion) -> Outcome:
        """A whole answer, given as a stream where one was asked for."""
        if completion.usage is None:
            completion = _counted(completion, self._chat.prompt_tokens)
        outcome = self.outcome.then(call.answered(completion.usage))
        if self._chat.stream:
            stream = iter([as_chunks(completion)])
            return replace(outcome, served_by=call.candidate, stream=Rechunked(stream))
        return replace(outcome, served_by=call.candidate, completion=completion)

    def _streamed(self, call: Call, response: Response, wire: Wire, deadline: float) -> Outcome:
        clock, candidate = self._tools.clock, call.candidate
        stream = AnswerStream(
            candidate,
            response,
            wire.reader(candidate.provider, candidate.model, self._chat.tools),
            clock,
            self._settings.idle_timeout,
            self._settings.ping_interval,
            self._chat.prompt_tokens,
            lambda end: self._stream_ended(call, end),
        )
        stream.begin(deadline - clock.monotonic())
        call.streaming()
        return replace(self.outcome, served_by=candidate, stream=stream)

    def _stream_ended(self, call: Call, end: StreamEnd) -> None:
        self.outcome = self.outcome.then(call.stream_ended(end))


def _counted(completion: Completion, prompt: int) -> Completion:
    """A whole answer whose provider did not count its tokens, with an estimate."""
    message = completion.body["choices"][0]["message"]
    usage = Usage(prompt, prompt_tokens([message]), exact=False)
    return Completion({**completion.body, "usage": usage_dict(usage)}, usage)


class _Lookahead:
    """An iterator that can say whether it has more."""

    def __init__(self, candidates: Iterator[Candidate]) -> None:
        self._candidates = candidates
        self._peeked: list[Candidate] = []

    def __iter__(self) -> _Lookahead:
        return self

    def __next__(self) -> Candidate:
        return self._peeked.pop() if self._peeked else next(self._candidates)

    def has_more(self) -> bool:
        return self.peek() is not None

    def peek(self) -> Candidate | None:
        """The next one, which stays the next one."""
        if not self._peeked:
            self._peeked.extend(itertools.islice(self._candidates, 1))
        return self._peeked[0] if self._peeked else None
