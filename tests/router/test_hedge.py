"""Hedging: a second candidate beside a late one, seldom, and nothing left over."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import DAY, ErrorKind
from freellmapi.core.limits import Limits, Usage
from freellmapi.core.route import Attempt, Outcome, Reservation
from freellmapi.router.execute import Execution
from freellmapi.router.hedge import ENOUGH, KEPT, SHORTEST, Hedging, quantile, rivals
from freellmapi.router.ledger import MemoryLedger
from tests.fakes.provider import FakeProvider, Reply, drips, hangs, later, says, status
from tests.router.conftest import QUICK, Lab, candidate, chat, model, provider, snapshot

K = ErrorKind
PATIENT = replace(
    QUICK, first_byte_timeout=5, last_first_byte_timeout=5, hedging=True, hedging_share=1.0
)
EITHER = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
NAMES = ("alpha", "beta", "gamma")


class CountingLedger(MemoryLedger):
    """A ledger that remembers how often each reservation was settled."""

    def __init__(self) -> None:
        super().__init__()
        self.settled: Counter[int] = Counter()
        self.reserved = 0

    def reserve(self, *args: Any) -> Reservation | None:
        reservation = super().reserve(*args)
        self.reserved += reservation is not None
        return reservation

    def settle(self, reservation: Reservation, usage: Usage | None, *, spent: bool) -> None:
        self.settled[reservation.id] += 1
        super().settle(reservation, usage, spent=spent)

    @property
    def once_each(self) -> bool:
        return len(self.settled) == self.reserved and set(self.settled.values()) <= {1}


class Track:
    """Three fake providers, and labs in which alpha is known to answer at once."""

    def __init__(self, stack: ExitStack, labs: list[Lab]) -> None:
        self._labs = labs
        self.alpha, self.beta, self.gamma = (stack.enter_context(FakeProvider()) for _ in NAMES)
        self.ledger = CountingLedger()

    def lab(self, *names: str, urls: dict[str, str] | None = None, **changes: Any) -> Lab:
        names = names or ("alpha", "beta")
        found = {name: getattr(self, name).base_url for name in names} | (urls or {})
        world = snapshot(
            *(model(name, limits=Limits(rpm=100)) for name in names),
            providers=[provider(name, found[name]) for name in names],
            settings=replace(PATIENT, **changes),
        )
        lab = Lab(world, ledger=self.ledger)
        self._labs.append(lab)
        for streamed in (False, True):
            know(lab.tools.hedging, "alpha", streamed)
        return lab


@pytest.fixture
def track(labs: list[Lab]) -> Iterator[Track]:
    with ExitStack() as stack:
        yield Track(stack, labs)


def call(
    name: str, duration: float, error: ErrorKind | None = None, streamed: bool = False
) -> Attempt:
    return Attempt(name, "m", "1", 0.0, duration, error, streamed=streamed)


def know(hedging: Hedging, name: str, streamed: bool = False, wait: float = 0.01) -> None:
    """So many calls as it takes, each with this wait."""
    for _ in range(ENOUGH):
        first_token = wait if streamed else None
        hedging.record(call(name, wait, streamed=streamed), first_token)


def trail(outcome: Outcome) -> list[tuple[str, ErrorKind | None]]:
    return sorted(((a.provider, a.error) for a in outcome.attempts), key=str)


def served(outcome: Outcome) -> tuple[str, str]:
    """(by whom, what was said), whole or streamed to its end."""
    assert outcome.served_by is not None
    name = outcome.served_by.provider.id
    if outcome.completion is not None:
        return name, outcome.completion.body["choices"][0]["message"]["content"] or ""
    assert outcome.stream is not None
    return name, "".join(chunk.text for batch in outcome.stream for chunk in batch)


def final(lab: Lab) -> Outcome:
    """The outcome with the attempts of streams that have ended."""
    return lab.runs[-1][0].outcome


@EITHER
def test_the_second_wins_and_the_first_is_closed_and_settled_once(
    track: Track, stream: bool
) -> None:
    track.alpha.script = [hangs()]
    track.beta.script = [says("quick")]
    lab = track.lab()

    outcome = lab.run(chat(stream=stream))

    assert served(outcome) == ("beta", "quick")
    gevent.sleep(0.001)
    assert track.alpha.wait_client_gone(10)
    assert trail(final(lab)) == [("alpha", K.HEDGED_OUT), ("beta", None)]
    assert final(lab).failed == ()
    assert track.ledger.once_each
    assert lab.requests_used("alpha/m") == 1, "it may have been counted there"
    assert lab.cooldowns.entries() == {}


def test_a_stream_that_only_pings_before_its_first_token_is_late_too(track: Track) -> None:
    track.alpha.script = [drips("slow", delay=4)]
    track.beta.script = [says("quick")]
    lab = track.lab()
    assert served(lab.run(chat(stream=True))) == ("beta", "quick")
    gevent.sleep(0.001)
    assert track.alpha.wait_client_gone(10)


@EITHER
def test_the_first_may_still_win(track: Track, stream: bool) -> None:
    track.alpha.script = [later(SHORTEST + 0.2, says("at last"))]
    track.beta.script = [hangs()]
    lab = track.lab()
    assert served(lab.run(chat(stream=stream))) == ("alpha", "at last")
    gevent.sleep(0.001)
    assert track.beta.wait_client_gone(10)
    assert trail(final(lab)) == [("alpha", None), ("beta", K.HEDGED_OUT)]
    assert track.ledger.once_each


@EITHER
def test_no_second_is_asked_when_the_first_answers_just_before(track: Track, stream: bool) -> None:
    track.alpha.script = [later(SHORTEST, says("just in time"))]
    lab = track.lab()
    know(lab.tools.hedging, "alpha", stream, wait=SHORTEST * 3)
    assert served(lab.run(chat(stream=stream))) == ("alpha", "just in time")
    assert track.beta.requests == []
    assert track.ledger.once_each


@pytest.mark.parametrize("reply", [status(500), status(429)], ids=["500", "429"])
def test_when_both_fail_the_loop_goes_on_with_the_next(track: Track, reply: Reply) -> None:
    track.alpha.script = [later(SHORTEST + 0.2, status(500))]
    track.beta.script = [reply]
    lab = track.lab(*NAMES)
    assert served(lab.run()) == ("gamma", "hello")
    assert [a.provider for a in final(lab).attempts] == ["beta", "alpha", "gamma"]
    assert len(final(lab).failed) == 2
    assert [len(fake.requests) for fake in (track.alpha, track.beta, track.gamma)] == [1, 1, 1]
    assert track.ledger.once_each


def test_a_verdict_on_the_request_by_the_second_holds_when_the_first_fails(track: Track) -> None:
    refusal = {"error": {"message": "no", "code": "content_filter"}}
    track.alpha.script = [later(SHORTEST + 0.2, status(500))]
    track.beta.script = [status(400, refusal)]
    lab = track.lab(*NAMES)
    outcome = lab.run()
    assert outcome.served_by is None
    assert trail(outcome) == [("alpha", K.SERVER_ERROR), ("beta", K.CONTENT_POLICY)]
    assert track.gamma.requests == []


@EITHER
def test_the_client_leaves_and_both_are_closed(track: Track, stream: bool) -> None:
    track.alpha.script, track.beta.script = [hangs()], [hangs()]
    lab = track.lab(*NAMES)
    leaving = gevent.spawn_later(SHORTEST + 0.2, lab.cancel.cancel)
    outcome = lab.run(chat(stream=stream))
    leaving.join()
    gevent.sleep(0.001)
    assert outcome.served_by is None
    assert trail(outcome) == [("alpha", K.CLIENT_GONE), ("beta", K.CLIENT_GONE)]
    assert track.alpha.wait_client_gone(10)
    assert track.beta.wait_client_gone(10)
    assert track.gamma.requests == []
    assert track.ledger.once_each


def test_the_client_leaves_the_stream_that_won(track: Track) -> None:
    track.alpha.script = [hangs()]
    track.beta.script = [drips("quick", "slow", interval=20)]
    lab = track.lab()
    outcome = lab.run(chat(stream=True))
    assert outcome.stream is not None
    next(outcome.stream)
    lab.cancel.cancel()
    outcome.stream.close()
    gevent.sleep(0.001)
    assert track.beta.wait_client_gone(10)
    assert trail(final(lab)) == [("alpha", K.HEDGED_OUT), ("beta", K.CLIENT_GONE)]
    assert track.ledger.once_each


def test_what_was_never_sent_is_given_back(track: Track, busy_url: str) -> None:
    track.alpha.script = [later(SHORTEST + 0.2, says("at last"))]
    lab = track.lab(urls={"beta": busy_url}, connect_timeout=5)
    assert served(lab.run()) == ("alpha", "at last")
    assert trail(final(lab)) == [("alpha", None), ("beta", K.HEDGED_OUT)]
    (lost,) = (a for a in final(lab).attempts if a.provider == "beta")
    assert not lost.spent
    assert lab.requests_used("beta/m") == 0


OFF: list[tuple[dict[str, Any], str]] = [
    ({"hedging": False}, "switched off"),
    ({"hedging_share": 0.05}, "too few requests yet"),
    ({"hedging_share": 0}, "no share"),
    ({"max_attempts": 1}, "no attempts left"),
]


@pytest.mark.parametrize(("changes", "why"), OFF, ids=[why for _, why in OFF])
def test_nobody_else_is_asked(track: Track, changes: dict[str, Any], why: str) -> None:
    track.alpha.script = [later(SHORTEST + 0.2, says("at last"))]
    lab = track.lab(**changes)
    where: list[gevent.Greenlet] = []

    def note(request: ChatRequest, *to: Provider | Model) -> ChatRequest:
        where.append(gevent.getcurrent())
        return request

    lab.tools = replace(lab.tools, inlined=note)
    assert served(lab.run()) == ("alpha", "at last")
    assert track.beta.requests == []
    assert where == [gevent.getcurrent()], "no greenlet is paid for it"


def test_it_is_off_by_default(track: Track) -> None:
    assert not type(PATIENT)().hedging


@pytest.mark.parametrize("name", ["beta", "alpha"])
def test_nobody_else_is_asked_of_an_unknown_or_lonely_model(track: Track, name: str) -> None:
    fake = getattr(track, name)
    fake.script = [later(SHORTEST + 0.2, says("at last"))]
    lab = track.lab(*([name, "gamma"] if name == "beta" else [name]))
    assert served(lab.run())[0] == name
    assert track.gamma.requests == []


def test_a_candidate_at_its_cap_is_passed_over(track: Track) -> None:
    track.alpha.script = [hangs()]
    lab = track.lab(*NAMES)
    beta = lab.the("beta/m")
    request = chat()
    upcoming = lab.plan(request)
    run = Execution(lab.tools, request, lab.snapshot.settings, lab.cancel)

    def fill() -> None:
        while lab.ledger.reserve(beta.buckets, 1, lab.clock.now()) is not None:
            pass

    gevent.spawn_later(SHORTEST / 2, fill)
    assert served(run.run(upcoming))[0] == "gamma"
    assert track.beta.requests == []


def test_a_fault_of_our_own_is_not_lost(track: Track) -> None:
    lab = track.lab()

    def broken(request: ChatRequest, *to: Provider | Model) -> ChatRequest:
        raise ZeroDivisionError

    lab.tools = replace(lab.tools, inlined=broken)
    with pytest.raises(ZeroDivisionError):
        lab.run()
    assert track.ledger.once_each


HERE, THERE = provider("here"), provider("there")
LATE = candidate(HERE, model("here", "m", family="kin"))
OTHER_KEY = candidate(HERE, LATE.model, "2")
SISTER = candidate(HERE, model("here", "n"))
STRANGER = candidate(THERE, model("there", "n"))
KIN = candidate(THERE, model("there", "m", family="kin"))


@pytest.mark.parametrize(
    ("loyal", "order"),
    [
        pytest.param(False, [STRANGER, KIN, OTHER_KEY, SISTER], id="any model"),
        pytest.param(True, [KIN, STRANGER, OTHER_KEY, SISTER], id="its own model first"),
    ],
)
def test_another_provider_comes_before_the_silent_one(loyal: bool, order: list[object]) -> None:
    assert rivals(LATE, [OTHER_KEY, SISTER, STRANGER, KIN], loyal=loyal) == order


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=60), st.floats(0.01, 1))
def test_the_quantile_is_the_shortest_wait_that_covers_the_share(
    waits: list[float], share: float
) -> None:
    found = quantile(waits, share)
    needed = max(math.ceil(len(waits) * share), 1)
    assert found in waits
    assert sum(wait <= found for wait in waits) >= needed
    assert sum(wait < found for wait in waits) < needed


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_only_the_newest_waits_count(waits: list[float]) -> None:
    hedging = Hedging()
    for wait in waits:
        hedging.record(call("alpha", wait), None)
    known = hedging.late_after("alpha/m", False)
    if len(waits) < ENOUGH:
        assert known is None
    else:
        assert known == max(quantile(waits[-KEPT:], 0.95), SHORTEST)


def test_streams_and_whole_answers_are_learned_apart() -> None:
    hedging = Hedging()
    know(hedging, "alpha", streamed=False, wait=9)
    assert hedging.late_after("alpha/m", True) is None
    know(hedging, "alpha", streamed=True, wait=2)
    assert hedging.late_after("alpha/m", True) == 2
    assert hedging.late_after("alpha/m", False) == 9


CUT = [
    pytest.param(K.HEDGED_OUT, 3.0, 3.0, id="overtaken late"),
    pytest.param(K.TIMEOUT, 3.0, 3.0, id="timed out"),
    pytest.param(K.HEDGED_OUT, 0.6, 1.0, id="overtaken early"),
    pytest.param(K.SERVER_ERROR, 3.0, 1.0, id="failed"),
    pytest.param(K.CLIENT_GONE, 3.0, 1.0, id="client gone"),
]


@pytest.mark.parametrize(("error", "duration", "expected"), CUT)
def test_a_call_that_was_cut_short_counts_when_it_was_late(
    error: ErrorKind, duration: float, expected: float
) -> None:
    hedging = Hedging()
    know(hedging, "alpha", wait=1.0)
    for _ in range(5):
        hedging.record(call("alpha", duration, error), None)
    assert hedging.late_after("alpha/m", False) == expected


@settings(deadline=None)
@given(st.integers(0, 400), st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]))
def test_the_share_of_a_day_is_never_passed(requests: int, share: float) -> None:
    hedging, hedged = Hedging(), 0
    for done in range(1, requests + 1):
        hedging.came(now=100.0)
        if hedging.allows(share):
            hedging.hedged()
            hedged += 1
        assert hedged <= share * done
    assert hedged == math.floor(share * requests + 1e-9)


def test_each_day_has_its_own_share() -> None:
    hedging = Hedging()
    hedging.came(DAY - 1)
    hedging.hedged()
    assert not hedging.allows(1)
    hedging.came(DAY)
    assert hedging.allows(1)
