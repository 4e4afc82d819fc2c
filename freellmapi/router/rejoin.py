"""Some times a second: a sign of life, a look at what others changed, and the way back to Redis.

The way back has three steps, a second apart, so that every worker has made one before any
makes the next: tell what was known before (the fuller count wins), tell what was used
since, and count together again. Until the last one everybody keeps to its share.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import orjson

from freellmapi.core.clock import Clock
from freellmapi.router.alone import Alone
from freellmapi.router.cluster import ALONE, RETURNING, TOGETHER
from freellmapi.router.noticeboard import Noticeboard
from freellmapi.router.pictured import Known
from freellmapi.router.shared_ledger import SharedLedger
from freellmapi.storage.shared import SharedUnavailable

log = logging.getLogger(__name__)

INTERVAL = 0.25
"""Seconds between two looks: what others took since the last one is not known to a worker
that loses Redis, so they are short."""
STEP = 1.0
"""Seconds in which every worker has found Redis back: more than a look and its time-outs."""
CHUNK = 40
"""Buckets told in one call."""
RESTORE_LEASE = 30.0
NAP = 0.05
BUCKET = "b:"
"""What the keys of buckets begin with."""


class Membership:
    """One worker's place among the others. ``restore`` counts what the request log knows."""

    def __init__(
        self,
        ledger: SharedLedger,
        clock: Clock,
        restore: Callable[[], None],
        board: Noticeboard | None = None,
    ) -> None:
        self._ledger = ledger
        self._board = board or Noticeboard(ledger.shared)
        self._shared = ledger.shared
        self._clock = clock
        self._restore = restore
        self._name = new_name()
        """For leases: it stays the same, while that of the ledger changes."""
        self._since = 0
        self._is_anew = False
        """Whether Redis counts from nothing, since it was last heard of."""
        self._is_member = False
        self._step = 0
        self._stepped = 0.0
        self._was_up = False

    @property
    def state(self) -> str:
        """One of those of ``cluster.py``."""
        if self._ledger.alone is None:
            return TOGETHER
        return RETURNING if self._step else ALONE

    @property
    def reason(self) -> str:
        return self._shared.status.reason

    @property
    def workers(self) -> tuple[str, ...]:
        return self._ledger.workers

    def lease(self, name: str, seconds: float) -> bool:
        """Whether this worker alone has ``name`` for so long; nobody has, without Redis."""
        try:
            return self._shared.lease(name, self._name, seconds)
        except SharedUnavailable:
            return False

    def start(self) -> None:
        """Count with the others; alone, and nothing that has a cap, if Redis is not there."""
        try:
            while not self._begin():
                self._clock.sleep(NAP)
            self._look_at_all()
            self._was_up = True
        except SharedUnavailable:
            self._ledger.cut_off()

    def tick(self) -> None:
        """A look, or the next step back."""
        if not self._shared.status.up and not self._shared.try_again():
            self._fall_back()
            return
        try:
            if self._ledger.alone is None:
                self._look()
            else:
                self._step_back(self._ledger.alone)
        except SharedUnavailable:
            self._fall_back()

    def leave(self) -> None:
        """End in good order: calls of this worker are no longer under way."""
        try:
            self._ledger.run("leave", ())
        except SharedUnavailable:
            log.info("Redis is gone; the other workers will notice the end of this one")
        self._shared.close()

    def _fall_back(self) -> None:
        self._step = 0
        self._ledger.cut_off()

    def _begin(self) -> bool:
        """Whether there is an epoch. Redis without one is empty: one worker fills it."""
        epoch = self._shared.call("GET", self._shared.key("epoch"))
        if epoch is None:
            # Who was there before knows more than the log does.
            if not self._was_up:
                if not self._shared.lease("restore", self._ledger.worker, RESTORE_LEASE):
                    return False
                self._restore()
            else:
                self._merge(anew=True)
            epoch = self._ledger.run("begin", (), epoch=new_name())[2]
        self._is_anew = epoch.decode() != self._ledger.epoch
        self._ledger.epoch = epoch.decode()
        return True

    def _look(self) -> int:
        """See what has changed since the last look; how much has."""
        ledger = self._ledger
        found = ledger.run("look", (), since=self._since, prefix=self._shared.prefix)
        if found[2] == b"0" and self._is_member:
            self._is_member = False
            raise SharedUnavailable("the other workers took this one for dead: it was held up")
        self._is_member = True
        if ledger.alone is None:
            ledger.workers = tuple(sorted(orjson.loads(found[3])))
        names, texts = found[5::2], found[6::2]
        for name, text in zip(names, texts, strict=True):
            self._since = max(self._since, self._read(name.decode(), text))
        # Those that have ended since are not shown, but are passed by.
        return int(found[4])

    def _read(self, name: str, text: bytes) -> int:
        """Take over a bucket or a note; its version."""
        if not name.startswith(BUCKET):
            return self._board.read(name, text)
        known = Known.read(text)
        self._ledger.learn(name.removeprefix(BUCKET), known)
        return known.version

    def _look_at_all(self) -> None:
        self._since = 0
        while self._look():
            pass

    def _step_back(self, alone: Alone) -> None:
        now = self._clock.monotonic()
        if self._step and now < self._stepped + STEP:
            return
        if self._step == 0:
            if not self._begin():
                return
            self._merge(anew=self._is_anew)
        elif self._step == 1:
            self._tell(alone)
        else:
            self._look_at_all()
            self._ledger.rejoin()
            self._was_up = True
            self._step = 0
            log.info("counting together again workers=%d", len(self._ledger.workers))
            return
        self._step, self._stepped = self._step + 1, now

    def _merge(self, *, anew: bool) -> None:
        """Tell what Redis itself had said before it was gone."""
        ledger = self._ledger
        for names in _chunks(ledger.known):
            known = [ledger.known[name].state for name in names]
            ledger.run("merge", names, anew=anew, known=known, buckets=[{"name": n} for n in names])

    def _tell(self, alone: Alone) -> None:
        """Tell what was used since, and which calls are under way.

        This worker takes a new name: calls that Redis began to count, and of which the
        answer was lost, end with the old one.
        """
        ledger, old = self._ledger, self._ledger.worker
        ledger.forget_versions()
        ledger.worker = new_name()
        self._is_member = False
        alone.join()
        ledger.run("leave", (), worker=old)
        self._look_at_all()
        for names in _chunks(alone.more):
            self._push(alone, names)
        for reservation, at in [
            *ledger.open.values(),
            *((e.reservation, e.at) for e in alone.owed.values()),
        ]:
            ledger.ask(
                "adopt", reservation.buckets, self._clock.now(), id=reservation.id, at=f"{at:.3f}"
            )
        for ended in list(alone.owed.values()):
            ledger.tell_ended(ended)
            del alone.owed[ended.reservation.id]

    def _push(self, alone: Alone, names: Sequence[str]) -> None:
        ledger = self._ledger
        there = self._clock.now() + ledger.offset
        told = ledger.told([alone.buckets[name] for name in names], there)
        for bucket in told:
            slots = sorted(alone.more[bucket["name"]].items())
            bucket["more"] = [n for second, used in slots for n in (second, *used)]
        if ledger.run("push", names, buckets=told)[0] == b"stale":
            raise SharedUnavailable("a day has just ended")
        for name in names:
            del alone.more[name]


def new_name() -> str:
    """A name for a worker that no other has."""
    return uuid.uuid4().hex[:12]


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    left = iter(sorted(names))
    while chunk := list(islice(left, CHUNK)):
        yield chunk
