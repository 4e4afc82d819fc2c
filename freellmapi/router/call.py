"""One call to one candidate: reserved before, settled and judged once it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt, Candidate, Reservation
from freellmapi.core.values import dataclass
from freellmapi.providers.endpoints import Endpoints
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.providers.transport import Transport
from freellmapi.providers.wire import Wire
from freellmapi.router.calibration import Calibration
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.hedge import Hedging
from freellmapi.router.learning import learn
from freellmapi.router.ledger import Ledger
from freellmapi.router.stream import StreamEnd

OVERTAKEN = "another candidate answered first"


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
    on_answer: Callable[[Candidate], None] = lambda candidate: None
    """Told of every call that was answered well."""
    on_call_over: Callable[[Attempt, float | None], None] = lambda attempt, first_token: None
    """Told of every call once it is over; with the seconds to its first token, of a stream."""
    inlined: Callable[[ChatRequest, Provider, Model], ChatRequest] = lambda chat, *to: chat
    """The request with its images in it, where a provider fetches none itself."""
    calibration: Calibration = field(default_factory=Calibration)
    """How each model counts tokens, and how long its answers get."""
    hedging: Hedging = field(default_factory=Hedging)
    """When the first byte is late, and how many second candidates were asked for it."""


class Call:
    """The bookkeeping of one upstream call: settled and judged exactly once."""

    def __init__(
        self,
        tools: Tools,
        candidate: Candidate,
        reservation: Reservation,
        chat: ChatRequest,
        claim: Callable[[], bool],
    ) -> None:
        self.candidate = candidate
        self._tools = tools
        self._reservation = reservation
        self._chat = chat
        self._heard: tuple[Observation, ...] = ()
        self._claim = claim
        self._started_at = tools.clock.now()
        self._started = tools.clock.monotonic()
        self._first_token: float | None = None

    def heard(self, observations: tuple[Observation, ...]) -> None:
        """What the answer said of the caps; believed once the call is settled."""
        self._heard = observations

    def answered(self, usage: Usage | None) -> Attempt:
        """A whole answer has come; ``HEDGED_OUT`` if another was taken before."""
        self._check_claim()
        self._tools.ledger.settle(self._reservation, usage, spent=True)
        self._learn()
        self._calibrate(usage)
        self._well()
        return self._record(usage=usage)

    def failed(self, error: UpstreamError) -> Attempt:
        spent = error.policy.spent and not error.unsent
        self._tools.ledger.settle(self._reservation, None, spent=spent)
        self._learn()
        return self._record(error=error, opens_at=self._judge(error), spent=spent)

    def streaming(self) -> None:
        """The first token of a stream has come; ``HEDGED_OUT`` as for ``answered``."""
        self._check_claim()
        self._first_token = self._tools.clock.monotonic() - self._started
        self._learn()
        self._tools.cooldowns.answers(self.candidate)

    def stream_ended(self, end: StreamEnd) -> Attempt:
        """A stream that had begun is over; what it used is used, however it ended."""
        self._tools.ledger.settle(self._reservation, end.usage, spent=True)
        if end.error is None:
            self._calibrate(end.usage)
            self._well()
            return self._record(usage=end.usage)
        return self._record(error=end.error, opens_at=self._judge(end.error), usage=end.usage)

    def _check_claim(self) -> None:
        if not self._claim():
            raise UpstreamError(ErrorKind.HEDGED_OUT, OVERTAKEN)

    def _learn(self) -> None:
        tools = self._tools
        learn(tools.ledger, self.candidate, self._heard, tools.clock.now(), self._started_at)

    def _calibrate(self, usage: Usage | None) -> None:
        """Hold the estimates of this request against what the provider counted."""
        if usage is None or not usage.exact:
            return
        ref, calibration = self.candidate.ref, self._tools.calibration
        calibration.note(ref, self._chat.prompt_tokens, usage.prompt_tokens)
        if self._chat.max_tokens is None:
            calibration.note_output(ref, usage.completion_tokens)

    def _well(self) -> None:
        self._tools.cooldowns.succeeded(self.candidate)
        self._tools.on_answer(self.candidate)

    def _judge(self, error: UpstreamError) -> float | None:
        """Bench what the failure speaks for; when that wait is over, if it is a stated one."""
        tools = self._tools
        if error.kind in (ErrorKind.CLIENT_GONE, ErrorKind.HEDGED_OUT):
            tools.cooldowns.ended(self.candidate)
            return None
        bench = tools.cooldowns.failed(self.candidate, error)
        tools.on_failure(self.candidate, error)
        return bench.until if bench is not None and not bench.own else None

    def abandoned(self) -> None:
        """The loop itself failed: what was reserved stays counted."""
        self._tools.ledger.settle(self._reservation, None, spent=True)
        self._tools.cooldowns.ended(self.candidate)

    def _record(
        self,
        error: UpstreamError | None = None,
        usage: Usage | None = None,
        opens_at: float | None = None,
        spent: bool = True,
    ) -> Attempt:
        attempt = Attempt(
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
            opens_at=opens_at,
            streamed=self._chat.stream,
        )
        self._tools.on_call_over(attempt, self._first_token)
        return attempt
