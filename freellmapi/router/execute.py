"""The one loop that asks candidates until one answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest, Chunk
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.estimate import DEFAULT_OUTPUT
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt, Candidate, Outcome, Reservation, RoutePlan
from freellmapi.providers.chunks import as_chunks
from freellmapi.providers.classify import classify
from freellmapi.providers.endpoints import Endpoints
from freellmapi.providers.transport import Response, Transport
from freellmapi.providers.wire import Wire
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.ledger import Ledger
from freellmapi.router.plan import capped, tokens_to_reserve
from freellmapi.router.settings import RouterSettings
from freellmapi.router.stream import AnswerStream, StreamEnd

RETRY_PAUSE = 0.25
"""Seconds before a lone candidate is asked once more."""
WORTH_A_SECOND_TRY = frozenset({ErrorKind.SERVER_ERROR, ErrorKind.BAD_ANSWER})
# A whole answer takes as long as its tokens do: the wait for its first byte grows by the
# first-byte timeout once for so many tokens that were asked for.
TOKENS_PER_WAIT = 768


@dataclass(frozen=True, slots=True)
class Tools:
    """What the loop works with: the same for every request."""

    transport: Transport
    wires: Mapping[str, Wire]
    endpoints: Endpoints
    ledger: Ledger
    cooldowns: Cooldowns
    clock: Clock
    on_failure: Callable[[Candidate, UpstreamError], None] = lambda candidate, error: None
    """Told of every failed attempt, e.g. to mark a rejected key."""


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
        call = _Call(tools, candidate, reservation)
        try:
            answered = self._ask(call, last)
        except UpstreamError as error:
            self._outcome = self._outcome.then(call.failed(error))
            return error
        except BaseException:
            call.abandoned()
            raise
        tools.cooldowns.succeeded(candidate)
        self._outcome = answered
        return None

    def _ask(self, call: _Call, last: bool) -> Outcome:
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
        if last:
            return longest
        if not streams:
            first *= 1 + min(self._chat.max_tokens or DEFAULT_OUTPUT, 4096) / TOKENS_PER_WAIT
        left = self._deadline - self._tools.clock.monotonic()
        return max(min(first, longest, left), settings.first_byte_timeout)

    def _refusal(self, response: Response, candidate: Candidate, deadline: float) -> UpstreamError:
        clock = self._tools.clock
        body = response.read(max(1.0, deadline - clock.monotonic()))
        return classify(response.status, response.headers, body, candidate.provider, clock.now())

    def _whole(self, call: _Call, response: Response, wire: Wire, deadline: float) -> Outcome:
        candidate = call.candidate
        body = response.read(max(0.001, deadline - self._tools.clock.monotonic()))
        response.close()
        completion = wire.completion(
            body, response.headers, candidate.provider, candidate.model, self._chat.tools
        )
        attempt = call.answered(completion.usage)
        if self._chat.stream:
            stream = _Rechunked(as_chunks(completion), lambda: self._on_stream_end(attempt))
            return replace(self._outcome, served_by=candidate, stream=stream)
        return replace(self._outcome.then(attempt), served_by=candidate, completion=completion)

    def _streamed(self, call: _Call, response: Response, wire: Wire, deadline: float) -> Outcome:
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
        return replace(self._outcome, served_by=candidate, stream=stream)


class _Call:
    """The bookkeeping of one upstream call: settled and judged exactly once."""

    def __init__(self, tools: Tools, candidate: Candidate, reservation: Reservation) -> None:
        self.candidate = candidate
        self._tools = tools
        self._reservation = reservation
        self._started_at = tools.clock.now()
        self._started = tools.clock.monotonic()

    def answered(self, usage: Usage | None) -> Attempt:
        self._tools.ledger.settle(self._reservation, usage, spent=True)
        return self._record(usage=usage)

    def failed(self, error: UpstreamError) -> Attempt:
        tools = self._tools
        spent = error.policy.spent
        tools.ledger.settle(self._reservation, None, spent=spent)
        if error.kind is ErrorKind.CLIENT_GONE:
            tools.cooldowns.ended(self.candidate)
        else:
            tools.cooldowns.failed(self.candidate, error)
            tools.on_failure(self.candidate, error)
        return self._record(error=error, spent=spent)

    def stream_ended(self, end: StreamEnd) -> Attempt:
        """A stream that had begun is over; what it used is used, however it ended."""
        tools = self._tools
        tools.ledger.settle(self._reservation, end.usage, spent=True)
        if end.error is not None and end.error.kind is not ErrorKind.CLIENT_GONE:
            tools.cooldowns.failed(self.candidate, end.error)
            tools.on_failure(self.candidate, end.error)
        return self._record(error=end.error, usage=end.usage)

    def abandoned(self) -> None:
        """The loop itself failed: what was reserved stays counted."""
        self._tools.ledger.settle(self._reservation, None, spent=True)
        self._tools.cooldowns.ended(self.candidate)

    def _record(
        self,
        error: UpstreamError | None = None,
        usage: Usage | None = None,
        spent: bool = True,
    ) -> Attempt:
        return Attempt(
            provider=self.candidate.provider.id,
            model=self.candidate.model.id,
            key_id=self.candidate.key_id,
            started_at=self._started_at,
            duration=self._tools.clock.monotonic() - self._started,
            error=error.kind if error else None,
            status=error.status if error else 200,
            message=error.message if error else "",
            usage=usage,
            spent=spent,
        )


class _Rechunked:
    """A whole answer given as a stream, for a provider that cannot stream."""

    def __init__(self, chunks: list[Chunk], on_end: Callable[[], None]) -> None:
        self._chunks: list[Chunk] | None = chunks
        self._on_end: Callable[[], None] | None = on_end

    def __iter__(self) -> _Rechunked:
        return self

    def __next__(self) -> list[Chunk]:
        chunks, self._chunks = self._chunks, None
        if chunks is None:
            self.close()
            raise StopIteration
        return chunks

    def close(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()


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
