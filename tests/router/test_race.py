"""Attempts side by side: one answer is taken, nobody goes on for nobody, no fault is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.router.ask import Answer
from freellmapi.router.race import Claim, Race, Start
from tests.router.conftest import candidate, failed, model, provider

ALPHA = candidate(provider("alpha"), model("alpha"))
BETA = candidate(provider("beta"), model("beta"))
SOON = 0.05


@pytest.fixture(autouse=True)
def _timely() -> None:
    """Timers count from the loop's own time, which stands still while no loop turns."""
    gevent.get_hub().loop.update_now()


class Open:
    """A stream that knows whether it was closed."""

    closed = False

    def __iter__(self) -> Open:
        return self

    def __next__(self) -> list[Chunk]:
        raise StopIteration

    def close(self) -> None:
        self.closed = True


class Runner:
    """One attempt that ends when it is told to, or when it is cancelled."""

    def __init__(self, end: Callable[[], Answer]) -> None:
        self.go = Event()
        self.cancel: Cancellation | None = None
        self._end = end

    def __call__(self, cancel: Cancellation, claim: Claim) -> Answer:
        self.cancel = cancel
        cancel.interrupted_by(self.go.set)
        self.go.wait()
        if cancel.cancelled:
            raise failed(ErrorKind.CLIENT_GONE)
        answer = self._end()
        if not claim():
            raise failed(ErrorKind.HEDGED_OUT)
        return answer


def answers(by: str = "alpha", stream: Open | None = None) -> Runner:
    return Runner(lambda: Answer(ALPHA if by == "alpha" else BETA, stream=stream))


def raises(error: BaseException) -> Runner:
    def end() -> Answer:
        raise error

    return Runner(end)


def run(first: Runner, second: Start | None, client: Cancellation | None = None) -> Answer:
    with gevent.Timeout(2):
        return Race(client or Cancellation()).run(first, SOON, lambda: second)


def test_the_second_wins_and_the_first_is_ended() -> None:
    first, second = answers("alpha"), answers("beta")
    second.go.set()
    assert run(first, second).by == BETA
    assert first.cancel is not None
    assert first.cancel.overtaken


def test_the_first_wins_after_all_and_the_second_is_ended() -> None:
    first, second = answers("alpha"), answers("beta")
    gevent.spawn_later(SOON * 3, first.go.set)
    assert run(first, second).by == ALPHA
    assert second.cancel is not None
    assert second.cancel.overtaken


def test_of_two_that_answer_at_once_one_is_taken() -> None:
    first, second = answers("alpha"), answers("beta")
    gevent.spawn_later(SOON * 3, lambda: (first.go.set(), second.go.set()))
    race = Race(Cancellation())
    with gevent.Timeout(2):
        answer = race.run(first, SOON, lambda: second)
    assert answer.by == ALPHA
    (lost,) = race.errors
    assert lost.kind is ErrorKind.CLIENT_GONE


def test_nobody_else_is_looked_for_when_the_first_is_in_time() -> None:
    first = answers()
    first.go.set()

    def nobody() -> Start:
        raise AssertionError("it was in time")

    assert Race(Cancellation()).run(first, 5, nobody).by == ALPHA


def test_with_nobody_else_the_first_is_waited_for() -> None:
    first = answers()
    gevent.spawn_later(SOON * 3, first.go.set)
    assert run(first, None).by == ALPHA


def test_when_both_fail_the_first_ones_error_is_told() -> None:
    first, second = raises(failed(ErrorKind.TIMEOUT)), raises(failed(ErrorKind.SERVER_ERROR))
    second.go.set()
    gevent.spawn_later(SOON * 3, first.go.set)
    race = Race(Cancellation())
    with pytest.raises(UpstreamError) as caught, gevent.Timeout(2):
        race.run(first, SOON, lambda: second)
    assert caught.value.kind is ErrorKind.TIMEOUT
    assert [e.kind for e in race.errors] == [ErrorKind.TIMEOUT, ErrorKind.SERVER_ERROR]


def test_the_client_leaves_and_both_are_ended() -> None:
    client, first, second = Cancellation(), answers("alpha"), answers("beta")
    gevent.spawn_later(SOON * 3, client.cancel)
    with pytest.raises(UpstreamError) as caught:
        run(first, second, client)
    assert caught.value.kind is ErrorKind.CLIENT_GONE
    for runner in (first, second):
        assert runner.cancel is not None
        assert (runner.cancel.cancelled, runner.cancel.overtaken) == (True, False)


def test_a_client_that_has_left_has_nobody_else_asked() -> None:
    client, first = Cancellation(), answers()
    gevent.spawn_later(SOON / 2, client.cancel)

    def nobody() -> Start:
        raise AssertionError("the client has left")

    with pytest.raises(UpstreamError), gevent.Timeout(2):
        Race(client).run(first, SOON, nobody)


def test_a_fault_of_our_own_is_raised_where_it_is_waited_for() -> None:
    first = raises(ZeroDivisionError())
    first.go.set()
    with pytest.raises(ZeroDivisionError):
        run(first, None)


def test_a_fault_beside_an_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    first, second = answers(), raises(ZeroDivisionError())
    second.go.set()
    gevent.spawn_later(SOON * 3, first.go.set)
    with caplog.at_level(logging.ERROR):
        assert run(first, second).by == ALPHA
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("come", [False, True], ids=["answer to come", "answer come"])
def test_whoever_waits_is_ended_and_nothing_is_left_open(come: bool) -> None:
    stream = Open()
    first, second = answers("alpha"), answers("beta", stream)
    waiting = gevent.spawn(Race(Cancellation()).run, first, SOON, lambda: second)
    gevent.sleep(SOON * 3)
    if come:
        second.go.set()
    waiting.kill(block=True, timeout=2)
    gevent.sleep(SOON)
    for runner in (first, second):
        assert runner.cancel is not None
        assert runner.cancel.cancelled
    assert stream.closed is come
