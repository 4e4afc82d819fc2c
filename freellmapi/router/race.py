"""Two attempts of one request side by side: the first that answers wins."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent import Greenlet

from freellmapi.core.cancel import Cancellation
from freellmapi.core.errors import UpstreamError
from freellmapi.router.ask import Answer

log = logging.getLogger(__name__)

GIVING_UP = 0.25
"""Seconds in which a call that was overtaken is over, so that the log's row has it."""

Claim = Callable[[], bool]
Start = Callable[[Cancellation, Claim], Answer]
"""Asks one candidate; raises ``UpstreamError``."""


class Lane:
    """One attempt in a greenlet of its own, and how it ended."""

    def __init__(self, start: Start, cancel: Cancellation, claim: Callable[[Lane], bool]) -> None:
        self.cancel = cancel
        self.answer: Answer | None = None
        self.error: UpstreamError | None = None
        self.fault: BaseException | None = None
        self._start = start
        self._claim = claim
        self._abandoned = False
        self.greenlet: Greenlet = gevent.spawn(self._run)

    def abandon(self) -> None:
        """Nobody is there any more to take its answer, whether it has come or is to come."""
        self._abandoned = True
        self.cancel.cancel()
        if self.answer is not None and self.answer.stream is not None:
            self.answer.stream.close()

    def _run(self) -> None:
        try:
            self.answer = self._start(self.cancel, lambda: self._claim(self))
            if self._abandoned:
                self.abandon()
        except UpstreamError as error:
            self.error = error
        except BaseException as fault:  # noqa: BLE001  # raised again where it is waited for
            self.fault = fault


class Race:
    """The attempts, while they run. The client's leaving ends all of them."""

    def __init__(self, client: Cancellation) -> None:
        self._client = client
        self._lanes: list[Lane] = []
        self._winner: Lane | None = None

    def run(self, first: Start, late_after: float, second: Callable[[], Start | None]) -> Answer:
        """The answer of whoever has one first.

        ``second`` is called once when the first is later than so many seconds, and may
        have nobody. ``UpstreamError`` (the first one's) when all have failed.
        """
        try:
            self._start(first)
            gevent.wait(self._running(), timeout=late_after)
            rival = second() if self._is_open() and not self._client.cancelled else None
            if rival is not None:
                self._start(rival)
            while not self._is_decided():
                gevent.wait(self._running(), count=1)
        except BaseException:
            # Nobody goes on working for a request that is over.
            for lane in self._lanes:
                lane.abandon()
            raise
        gevent.wait(self._running(), timeout=GIVING_UP)
        return self._result()

    @property
    def errors(self) -> tuple[UpstreamError, ...]:
        """Why those failed that did, in the order in which they were asked."""
        return tuple(lane.error for lane in self._lanes if lane.error is not None)

    def _start(self, start: Start) -> None:
        self._lanes.append(Lane(start, self._client.linked(), self._claimed))

    def _claimed(self, lane: Lane) -> bool:
        """Whether the answer that has come to this lane is the one that is taken."""
        if self._winner is None and not lane.cancel.overtaken:
            self._winner = lane
            self._overtake()
        return self._winner is lane

    def _overtake(self) -> None:
        for lane in self._lanes:
            if lane is not self._winner:
                lane.cancel.overtake()

    def _running(self) -> list[Greenlet]:
        return [lane.greenlet for lane in self._lanes if not lane.greenlet.ready()]

    def _is_open(self) -> bool:
        """Whether nobody has answered yet, and somebody may."""
        return self._winner is None and bool(self._running())

    def _is_decided(self) -> bool:
        if self._winner is not None:
            return bool(self._winner.greenlet.ready())
        return not self._running()

    def _result(self) -> Answer:
        answer = self._winner.answer if self._winner is not None else None
        faults = [lane.fault for lane in self._lanes if lane.fault is not None]
        if answer is not None:
            for fault in faults:
                log.error("an attempt beside the one that answered failed", exc_info=fault)
            return answer
        if faults:
            raise faults[0]
        raise self.errors[0]
