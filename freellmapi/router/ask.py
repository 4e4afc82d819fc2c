"""One attempt: a candidate is asked once, and answers or fails."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest, Completion
from freellmapi.core.errors import Bench, ErrorKind, UpstreamError
from freellmapi.core.estimate import DEFAULT_OUTPUT, prompt_tokens
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt, Candidate, Reservation, TokenStream
from freellmapi.core.values import dataclass
from freellmapi.providers.chunks import as_chunks, usage_dict
from freellmapi.providers.classify import classify
from freellmapi.providers.ratelimit_headers import named_in_body, observed
from freellmapi.providers.transport import Response
from freellmapi.providers.wire import Rescues, Wire
from freellmapi.router.call import OVERTAKEN, Call, Tools
from freellmapi.router.conformance import misfit, unfenced
from freellmapi.router.settings import RouterSettings
from freellmapi.router.stream import AnswerStream, Rechunked

REFUSAL_TIMEOUT = 5.0
"""Seconds for the body of a refusal whose status is known."""
# A whole answer takes as long as its tokens do: the wait for its first byte grows by the
# first-byte timeout once for so many tokens that were asked for.
TOKENS_PER_WAIT = 768


@dataclass(frozen=True, slots=True)
class Answer:
    """What a candidate gave: a whole answer, or a stream whose first token has come."""

    by: Candidate
    completion: Completion | None = None
    stream: TokenStream | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """Where among the candidates one is asked; it decides how long it may take."""

    first: bool
    """Nobody was asked before."""
    last: bool
    """Nobody is left to be asked after it."""
    budget_ends: float
    """In monotonic seconds."""


class Ask:
    """How the candidates of one request are asked.

    ``over`` is told of every call once it is over: a stream's when it has ended.
    """

    def __init__(
        self,
        tools: Tools,
        chat: ChatRequest,
        settings: RouterSettings,
        over: Callable[[Attempt], None],
    ) -> None:
        self._tools = tools
        self._chat = chat
        self._settings = settings
        self._over = over

    def __call__(
        self,
        form: ChatRequest,
        candidate: Candidate,
        reservation: Reservation,
        turn: Turn,
        cancel: Cancellation,
        claim: Callable[[], bool],
    ) -> Answer:
        """The answer to the request in this form; ``UpstreamError`` when there is none.

        Either way the call is settled and judged, now or when its stream ends. ``claim``
        is asked once, when an answer has come: False if another's was taken before.
        """
        self._tools.cooldowns.begin(candidate)
        call = Call(self._tools, candidate, reservation, form, claim)
        try:
            return self._ask(form, call, turn, cancel)
        except UpstreamError as error:
            meant = _overtaken(error) if cancel.overtaken else error
            self._over(call.failed(meant))
            raise meant from error.__cause__
        except BaseException:
            call.abandoned()
            raise

    def _ask(self, form: ChatRequest, call: Call, turn: Turn, cancel: Cancellation) -> Answer:
        tools, candidate = self._tools, call.candidate
        endpoint = tools.endpoints.of(candidate.provider, candidate.key_id)
        wire = tools.wires[candidate.provider.wire]
        told = tools.inlined(form, candidate.provider, candidate.model)
        message = wire.call(told, candidate.provider, candidate.model)
        deadline = tools.clock.monotonic() + self._patience(candidate, turn)
        response = tools.transport.post(
            endpoint,
            message.path,
            message.body,
            connect_timeout=self._settings.connect_timeout,
            first_byte_timeout=deadline - tools.clock.monotonic(),
            cancel=cancel,
        )
        call.heard(observed(response.headers, candidate.provider, tools.clock.now()))
        try:
            if response.status != 200:
                return self._refused(call, response, wire, deadline)
            if form.stream:
                return self._streamed(call, response, wire, deadline)
            return self._whole(call, response, wire, deadline)
        except BaseException:
            response.close()
            raise

    def _patience(self, candidate: Candidate, turn: Turn) -> float:
        """Seconds to the first token of a stream, or to the end of a whole answer."""
        settings = self._settings
        first = candidate.provider.first_byte_timeout or settings.first_byte_timeout
        longest = max(settings.last_first_byte_timeout, first)
        if turn.last and turn.first:
            return longest
        if not self._chat.stream:
            first *= 1 + min(self._chat.max_tokens or DEFAULT_OUTPUT, 4096) / TOKENS_PER_WAIT
        wanted = longest if turn.last else min(first, longest)
        left = turn.budget_ends - self._tools.clock.monotonic()
        return max(min(wanted, left), settings.first_byte_timeout)

    def _refused(self, call: Call, response: Response, wire: Wire, deadline: float) -> Answer:
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
        self._hear_body(call, body)
        raise classify(response.status, response.headers, body, provider, clock.now())

    def _hear_body(self, call: Call, body: bytes) -> None:
        """Caps that a refusal names in its body, where its headers say nothing of them."""
        try:
            named = named_in_body(orjson.loads(body)) if body else ()
        except orjson.JSONDecodeError:
            return
        if named:
            call.heard(named)

    def _whole(self, call: Call, response: Response, wire: Wire, deadline: float) -> Answer:
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

    def _answered(self, call: Call, completion: Completion) -> Answer:
        """A whole answer, given as a stream where one was asked for."""
        if completion.usage is None:
            completion = _counted(completion, self._chat.prompt_tokens)
        self._over(call.answered(completion.usage))
        if self._chat.stream:
            return Answer(call.candidate, stream=Rechunked(iter([as_chunks(completion)])))
        return Answer(call.candidate, completion)

    def _streamed(self, call: Call, response: Response, wire: Wire, deadline: float) -> Answer:
        clock, candidate = self._tools.clock, call.candidate
        stream = AnswerStream(
            candidate,
            response,
            wire.reader(candidate.provider, candidate.model, self._chat.tools),
            clock,
            self._settings.idle_timeout,
            self._settings.ping_interval,
            self._chat.prompt_tokens,
            lambda end: self._over(call.stream_ended(end)),
        )
        stream.begin(deadline - clock.monotonic())
        call.streaming()
        return Answer(candidate, stream=stream)


def _overtaken(error: UpstreamError) -> UpstreamError:
    """What it means that nobody waits for this call any more, while the client does."""
    if error.kind is not ErrorKind.CLIENT_GONE:
        return error
    return UpstreamError(ErrorKind.HEDGED_OUT, OVERTAKEN, unsent=error.unsent)


def _counted(completion: Completion, prompt: int) -> Completion:
    """A whole answer whose provider did not count its tokens, with an estimate."""
    message = completion.body["choices"][0]["message"]
    usage = Usage(prompt, prompt_tokens([message]), exact=False)
    return Completion({**completion.body, "usage": usage_dict(usage)}, usage)
