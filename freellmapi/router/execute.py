"""The one loop that asks candidates until one answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest, Completion
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.estimate import DEFAULT_OUTPUT, prompt_tokens
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt, Candidate, Outcome, Reservation, RoutePlan
from freellmapi.providers.chunks import as_chunks, usage_dict
from freellmapi.providers.classify import classify
from freellmapi.providers.transport import Response
from freellmapi.providers.wire import Wire
from freellmapi.router.call import Call, Tools
from freellmapi.router.plan import capped, tokens_to_reserve
from freellmapi.router.settings import RouterSettings
from freellmapi.router.stream import AnswerStream, Rechunked

RETRY_PAUSE = 0.25
"""Seconds before a lone candidate is asked once more."""
REFUSAL_TIMEOUT = 5.0
"""Seconds for the body of a refusal whose status is known."""
WORTH_A_SECOND_TRY = frozenset({ErrorKind.SERVER_ERROR, ErrorKind.BAD_ANSWER})
# A whole answer takes as long as its tokens do: the wait for its first byte grows by the
# first-byte timeout once for so many tokens that were asked for.
TOKENS_PER_WAIT = 768


class Execution:
    """One request on its way through its candidates."""

    def __init__(
        self,
        tools: Tools,
        chat: ChatRequest,
        settings: RouterSettings,
        cancel: Cancellation,
        on_stream_end: Callable[[Attempt], None],
    ) -> None:
        self._tools = tools
        self._chat = chat
        self._settings = settings
        self._cancel = cancel
        self._on_stream_end = on_stream_end
        self._deadline = tools.clock.monotonic() + settings.attempt_budget
        self._tries_left = settings.max_attempts
        self._outcome = Outcome()

    def run(self, plan: RoutePlan) -> Outcome:
        """Ask candidates until one answers; without ``served_by``, none did."""
        upcoming = _Lookahead(iter(plan.candidates))
        for candidate in upcoming:
            if not self._may_try():
                break
            if self._outcome.attempts and self._benched_meanwhile(candidate):
                continue
            reservation = self._reserve(candidate)
            if reservation is None:
                opens = self._opens_at(candidate)
                plan.skipped.append(capped(candidate, opens))
                continue
            error = self._attempt(candidate, reservation, last=not upcoming.has_more())
            if error is None:
                return self._outcome
            if self._lone(error, upcoming):
                self._tools.clock.sleep(RETRY_PAUSE)
                again = self._reserve(candidate)
                error = self._attempt(candidate, again, last=True) if again else error
                if error is None:
                    return self._outcome
            self._limit_tries(error)
        return self._outcome

    def _may_try(self) -> bool:
        """Whether budget and attempts allow one more; a failover is always allowed."""
        if self._tries_left <= 0 or self._cancel.cancelled:
            return False
        in_time = self._tools.clock.monotonic() < self._deadline
        return in_time or len(self._outcome.attempts) < 2

    def _benched_meanwhile(self, candidate: Candidate) -> bool:
        """Whether a failure since it was drawn speaks for this candidate too."""
        tools = self._tools
        return tools.cooldowns.blocking(candidate, tools.clock.now()) is not None

    def _limit_tries(self, error: UpstreamError) -> None:
        limit = error.policy.tries_after
        if limit is not None:
            self._tries_left = min(self._tries_left, limit)

    def _lone(self, error: UpstreamError, upcoming: _Lookahead) -> bool:
        """Whether the only candidate there is gets its second try."""
        return (
            len(self._outcome.attempts) == 1
            and error.kind in WORTH_A_SECOND_TRY
            and error.retry_after is None
            and not upcoming.has_more()
            and not self._cancel.cancelled
        )

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
        self, candidate: Candidate, reservation: Reservation, *, last: bool
    ) -> UpstreamError | None:
        """Ask one candidate; the outcome holds its answer unless an error is returned."""
        tools = self._tools
        self._tries_left -= 1
        tools.cooldowns.begin(candidate)
        call = Call(tools, candidate, reservation)
        try:
            answered = self._ask(call, last)
        except UpstreamError as error:
            self._outcome = self._outcome.then(call.failed(error))
            return error
        except BaseException:
            call.abandoned()
            raise
        self._outcome = answered
        return None

    def _ask(self, call: Call, last: bool) -> Outcome:
        tools, candidate = self._tools, call.candidate
        endpoint = tools.endpoints.of(candidate.provider, candidate.key_id)
        wire = tools.wires[candidate.provider.wire]
        streams = self._chat.stream and "no_stream" not in candidate.provider.quirks.flags
        chat = self._chat if streams == self._chat.stream else replace(self._chat, stream=False)
        message = wire.call(chat, candidate.provider, candidate.model)
        deadline = tools.clock.monotonic() + self._patience(candidate, last, streams)
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
                raise self._refusal(response, candidate, deadline)
            if streams:
                return self._streamed(call, response, wire, deadline)
            return self._whole(call, response, wire, deadline)
        except BaseException:
            response.close()
            raise

    def _patience(self, candidate: Candidate, last: bool, streams: bool) -> float:
        """Seconds to the first token of a stream, or to the end of a whole answer."""
        settings = self._settings
        first = candidate.provider.first_byte_timeout or settings.first_byte_timeout
        longest = max(settings.last_first_byte_timeout, first)
        if last and not self._outcome.attempts:
            return longest
        if not streams:
            first *= 1 + min(self._chat.max_tokens or DEFAULT_OUTPUT, 4096) / TOKENS_PER_WAIT
        wanted = longest if last else min(first, longest)
        left = self._deadline - self._tools.clock.monotonic()
        return max(min(wanted, left), settings.first_byte_timeout)

    def _refusal(self, response: Response, candidate: Candidate, deadline: float) -> UpstreamError:
        clock = self._tools.clock
        left = deadline - clock.monotonic()
        try:
            body = response.read(max(1.0, min(left, REFUSAL_TIMEOUT)))
        except UpstreamError as exc:
            if exc.kind is ErrorKind.CLIENT_GONE:
                raise
            # Its status says enough when the reason does not come.
            body = b""
        return classify(response.status, response.headers, body, candidate.provider, clock.now())

    def _whole(self, call: Call, response: Response, wire: Wire, deadline: float) -> Outcome:
        candidate = call.candidate
        body = response.read(max(0.001, deadline - self._tools.clock.monotonic()))
        response.close()
        completion = wire.completion(
            body, response.headers, candidate.provider, candidate.model, self._chat.tools
        )
        if completion.usage is None:
            completion = _counted(completion, self._chat.prompt_tokens)
        attempt = call.answered(completion.usage)
        if self._chat.stream:
            stream = Rechunked(as_chunks(completion), lambda: self._on_stream_end(attempt))
            return replace(self._outcome, served_by=candidate, stream=stream)
        return replace(self._outcome.then(attempt), served_by=candidate, completion=completion)

    def _streamed(self, call: Call, response: Response, wire: Wire, deadline: float) -> Outcome:
        tools, candidate = self._tools, call.candidate
        stream = AnswerStream(
            candidate,
            response,
            wire.reader(candidate.provider, candidate.model, self._chat.tools),
            tools.clock,
            self._settings.idle_timeout,
            self._settings.ping_interval,
            self._chat.prompt_tokens,
            lambda end: self._on_stream_end(call.stream_ended(end)),
        )
        stream.begin(deadline - tools.clock.monotonic())
        call.streaming()
        return replace(self._outcome, served_by=candidate, stream=stream)


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
        if not self._peeked:
            self._peeked.extend(itertools.islice(self._candidates, 1))
        return bool(self._peeked)
