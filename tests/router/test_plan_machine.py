"""What is remembered of closed models changes no decision: after anything that may happen, a
plan draws, waits and refuses as one that has never seen any of the models before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Limits, Usage
from freellmapi.core.route import Candidate, Outcome, Reservation, RoutePlan
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.calibration import Calibration
from freellmapi.router.closed import Closed
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.failure import failure
from freellmapi.router.judge import Picture, cost
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.line import Line
from freellmapi.router.places import Places
from freellmapi.router.plan import plan
from freellmapi.router.resolve import resolve
from freellmapi.router.snapshot import LiveKey
from freellmapi.router.turns import Waiter
from freellmapi.router.waiting import Wait, next_slot
from tests.fakes.clock import FrozenClock
from tests.router.conftest import chat, failed, model, provider, snapshot

PROVIDERS = [
    provider("alpha"),
    provider("beta", account_limits=Limits(rpm=3, tpd=900)),
    provider("gamma", pool="ip"),
    provider("delta"),
]
MODELS = [
    model("alpha", "minute", limits=Limits(rpm=2, rpd=6), context=100_000),
    model("alpha", "tokens", limits=Limits(tpm=100, tpd=350), tools=True, context=100_000),
    model("alpha", "once", limits=Limits(concurrency=1), context=60),
    model("beta", "m", limits=Limits(rpm=2), tools=True, context=100_000),
    model("beta", "n", limits=Limits(rpd=3, tpm=150), context=100_000),
    model("gamma", "m", limits=Limits(rpm=1, tpm=80), tools=True, context=100_000),
    model("delta", "without-a-key"),
]
KEYS = [LiveKey(key, name) for name in ("alpha", "beta", "gamma") for key in ("1", "2")]
SNAPSHOT = snapshot(*MODELS, providers=PROVIDERS, keys=KEYS)
CANDIDATES = {f"{c.ref} {c.key_id}": c for of in SNAPSHOT.candidates.values() for c in of}
WHO = st.sampled_from(sorted(CANDIDATES))
BENCHED_FOR = st.sampled_from(
    [ErrorKind.RATE_LIMITED, ErrorKind.SERVER_ERROR, ErrorKind.KEY_REJECTED, ErrorKind.UNREACHABLE]
)
CHATS = st.builds(
    chat,
    st.sampled_from(["auto", "auto", "auto", "alpha/tokens", "m"]),
    prompt_tokens=st.sampled_from([10, 10, 40, 90]),
    max_tokens=st.sampled_from([10, 10, 30, 60, None]),
    needs=st.sampled_from([frozenset(), frozenset(), frozenset({Need.TOOLS})]),
)
# In the middle of a day, since what a clock does at its end is the ledger's to get right.
START = 20_700 * 86_400 + 30_000.0


class PlanMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock(START)
        self.ledger = MemoryLedger()
        self.line = Line()
        self.calibration = Calibration()
        self.windows: dict[str, int] = {}
        self.cooldowns = Cooldowns(self.clock)
        self.calls: list[Reservation] = []
        self.waiting: list[Waiter] = []

    @rule(who=WHO, tokens=st.sampled_from([1, 20, 20, 70]), times=st.sampled_from([1, 1, 3, 7]))
    def call(self, who: str, tokens: int, times: int) -> None:
        for _ in range(times):
            held = self.ledger.reserve(CANDIDATES[who].buckets, tokens, self.clock.now())
            if held is not None:
                self.cooldowns.begin(CANDIDATES[who])
                self.calls.append(held)

    @rule(tokens=st.sampled_from([20, 70]))
    def call_everybody(self, tokens: int) -> None:
        for who in CANDIDATES:
            self.call(who, tokens, 7)

    @rule(who=WHO)
    def book(self, who: str) -> None:
        now = self.clock.now()
        held = self.ledger.book(CANDIDATES[who].buckets, 20, now, now + 90)
        if held is not None:
            self.calls.append(held)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), used=st.sampled_from([None, 0, 15, 90]), spent=st.booleans())
    def end(self, data: st.DataObject, used: int | None, spent: bool) -> None:
        call = data.draw(st.sampled_from(self.calls))
        self.calls.remove(call)
        self.ledger.settle(call, None if used is None else Usage(used, 0), spent=spent)

    @precondition(lambda self: self.calls)
    @rule()
    def end_all(self) -> None:
        for held in self.calls:
            self.ledger.settle(held, None, spent=held.at <= self.clock.now())
        self.calls.clear()

    @rule(who=WHO, kind=BENCHED_FOR, wait=st.sampled_from([None, None, 7.0, 100.0]))
    def fail(self, who: str, kind: ErrorKind, wait: float | None) -> None:
        self.cooldowns.failed(CANDIDATES[who], failed(kind, retry_after=wait))

    @rule(kind=BENCHED_FOR)
    def fail_everywhere(self, kind: ErrorKind) -> None:
        for who in CANDIDATES.values():
            for _ in range(2):
                self.cooldowns.failed(who, failed(kind))

    @rule(who=WHO, how=st.sampled_from(["answers", "succeeded", "ended", "begin"]))
    def judged(self, who: str, how: str) -> None:
        getattr(self.cooldowns, how)(CANDIDATES[who])

    @precondition(lambda self: self.cooldowns.entries())
    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        entries = self.cooldowns.entries()
        name = data.draw(st.sampled_from(sorted(entries)))
        self.cooldowns.clear(name, entries[name].kind)

    @rule(
        who=WHO,
        seen=st.sampled_from(
            [Observation("rpm", 1), Observation("rpm", 9), Observation("tpm", 60, 0, 20.0)]
        ),
    )
    def observe(self, who: str, seen: Observation) -> None:
        self.ledger.observe(CANDIDATES[who].buckets[0], [seen], self.clock.now())

    @rule(who=WHO, exact=st.sampled_from([5, 10, 30]))
    def calibrate(self, who: str, exact: int) -> None:
        for _ in range(9):
            self.calibration.note(CANDIDATES[who].ref, 10, exact)
            self.calibration.note_output(CANDIDATES[who].ref, exact)

    @rule(who=WHO, window=st.sampled_from([30, 90, 1_000]))
    def learn_window(self, who: str, window: int) -> None:
        self.windows[CANDIDATES[who].ref] = window

    @rule(who=WHO)
    def wait_in_line(self, who: str) -> None:
        self.waiting.append(Waiter(None))
        self.line._join(self.waiting[-1], [CANDIDATES[who]])

    @precondition(lambda self: self.waiting)
    @rule()
    def leave_line(self) -> None:
        self.line._leave(self.waiting.pop())

    @rule(seconds=st.sampled_from([0.1, 0.9, 1, 5, 7, 30, 61.5, 62, -3, 1_000]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def prune(self) -> None:
        self.ledger.prune(self.clock.now())

    @rule(asked=CHATS)
    def decide(self, asked: ChatRequest) -> None:
        self.decided(asked)

    @rule(asked=CHATS, patience=st.sampled_from([0.5, 15, 90]))
    def decide_and_wait(self, asked: ChatRequest, patience: float) -> None:
        ours, theirs = self.decided(asked)
        assert self.waits(asked, ours, patience) == self.waits(asked, theirs, patience)

    def decided(self, asked: ChatRequest) -> tuple[RoutePlan, RoutePlan]:
        ours = self.plan(asked)
        drawn = list(ours.candidates)
        with self.nothing_remembered():
            theirs = self.plan(asked)
            naive = list(theirs.candidates)
        if not self.is_benched(naive[:1]):
            assert drawn == naive
        else:
            # Of several benches that end at the same time, any may be tried.
            assert self.ends(drawn) == self.ends(naive)
        if not naive:
            assert self.refusal(asked, ours) == self.refusal(asked, theirs)
        return ours, theirs

    def plan(self, asked: ChatRequest) -> RoutePlan:
        picture = Picture(
            SNAPSHOT,
            self.cooldowns,
            self.ledger,
            self.clock,
            self.windows,
            self.line,
            self.calibration,
        )
        return plan(asked, resolve(asked, SNAPSHOT), picture)

    @contextmanager
    def nothing_remembered(self) -> Iterator[None]:
        remembered = self.ledger.closed
        self.ledger.closed = Closed()
        yield
        self.ledger.closed = remembered

    def is_benched(self, drawn: list[Candidate]) -> bool:
        return any(self.cooldowns.blocking(c, self.clock.now()) for c in drawn)

    def ends(self, drawn: list[Candidate]) -> list[float]:
        found = (self.cooldowns.blocking(c, self.clock.now()) for c in drawn)
        return [entry.until for entry in found if entry is not None]

    def refusal(self, asked: ChatRequest, made: RoutePlan) -> tuple[object, ...]:
        error = failure(asked, Outcome(), made.skipped, any_key=True, now=self.clock.now())
        again = error.message.partition("Try again in")[2]
        models = len({s.ref for s in made.skipped}) + sum(s.others for s in made.skipped)
        return error.status, error.code, error.type, error.retry_after, again, models

    def waits(self, asked: ChatRequest, made: RoutePlan, patience: float) -> tuple[object, ...]:
        now = self.clock.now()

        def tokens(candidate: Candidate) -> int:
            return cost(asked, candidate.model, self.calibration)

        wait: Wait | None = next_slot(
            made.skipped, (), Places(self.ledger, self.clock), None, tokens, now, now + patience
        )
        if wait is None:
            return (None,)
        at = wait.until
        if wait.place is not None:
            assert wait.place.held is not None
            at = wait.place.held.reservation.at
            self.ledger.settle(wait.place.held.reservation, None, spent=False)
        return at, wait.place is None, {c.ref for c in wait.in_line}


TestPlanMachine = PlanMachine.TestCase
TestPlanMachine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
