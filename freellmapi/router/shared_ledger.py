"""The ledger of several workers: counted in Redis, by its clock, and pictured in each worker.

What takes or gives back is one script in Redis (``ledger.lua``); its reply says what is
true of the buckets by then. What only asks is answered from the picture of those replies
and of a look, some times a second, at what others have changed. Without Redis each worker keeps
to a share of what was left (``share.py``, ``rejoin.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from freellmapi.core.clock import Clock
from freellmapi.core.limits import Bucket, Limits, Usage
from freellmapi.core.route import Reservation
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.alone import Alone, Ended
from freellmapi.router.closed import Closed
from freellmapi.router.counter import NEVER, day_of, month_of
from freellmapi.router.headroom import Headroom, Window
from freellmapi.router.ledger import Earlier
from freellmapi.router.pictured import Known, Pictured
from freellmapi.router.scripted import Scripted
from freellmapi.router.tally import Tally
from freellmapi.storage.shared import Shared, SharedUnavailable

LONELY_WAIT = 15.0
"""Seconds after which a cap that is another worker's, while Redis is gone, is asked again."""


class SharedLedger(Scripted):
    """The ledger of one worker among several. ``worker`` is a name that no other has.

    ``callers_clock`` makes Redis count by the ``now`` that is passed, for tests.
    """

    def __init__(
        self, shared: Shared, clock: Clock, worker: str, *, callers_clock: bool = False
    ) -> None:
        super().__init__(shared, clock, worker, callers_clock=callers_clock)
        self.picture = Pictured()
        self.closed: Closed = self.picture.closed
        self.known: dict[str, Known] = {}
        """What Redis said last of each bucket; kept while it is gone."""
        self.open: dict[int, tuple[Reservation, float]] = {}
        """Calls under way, with the time of Redis at which they count."""
        self.alone: Alone | None = None
        """How this worker goes on while Redis is gone, and until all are back."""
        self.workers: tuple[str, ...] = ()
        self._last_id = 0

    @property
    def under_way(self) -> int:
        """How many reservations of this worker are not settled."""
        return len(self.open)

    @property
    def is_alone(self) -> bool:
        return self.alone is not None

    # What takes and gives back.

    def reserve(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> Reservation | None:
        """Headroom for one call of so many tokens, or None if any window lacks it."""
        alone = self.alone
        if alone is None:
            taken = self._take("reserve", buckets, tokens, now)
            if taken is None and self.is_alone:
                return self.reserve(buckets, tokens, now)
            return taken
        there = self._there(now)
        if not alone.take(buckets, tokens, there):
            return None
        if alone.joint:
            taken = self._take("reserve", buckets, tokens, now)
            if taken is None:
                alone.give_back(buckets, tokens, there)
                return None
        else:
            taken = self._noted(buckets, tokens, now, there)
        alone.taken(taken, there)
        return taken

    def book(
        self, buckets: tuple[Bucket, ...], tokens: int, now: float, latest: float
    ) -> Reservation | None:
        """The earliest place, from ``now`` to ``latest``, that no earlier call has taken.

        While Redis is gone nothing is booked ahead: what has no room now has none.
        """
        if self.alone is not None:
            return self.reserve(buckets, tokens, now)
        taken = self._take("book", buckets, tokens, now, patience=latest - now)
        if taken is None and self.is_alone:
            return self.reserve(buckets, tokens, now)
        return taken

    def _take(
        self, what: str, buckets: tuple[Bucket, ...], tokens: int, now: float, **more: float
    ) -> Reservation | None:
        self._last_id += 1
        number = self._last_id
        try:
            reply = self.ask(what, buckets, now, id=number, tokens=tokens, **more)
        except SharedUnavailable:
            self.cut_off()
            return None
        if reply.word != "ok":
            return None
        at = now if reply.at <= reply.now else max(now, reply.at - self._offset)
        self.open[number] = (Reservation(number, buckets, tokens, at), reply.at)
        return self.open[number][0]

    def _noted(
        self, buckets: tuple[Bucket, ...], tokens: int, now: float, there: float
    ) -> Reservation:
        self._last_id += 1
        reservation = Reservation(self._last_id, buckets, tokens, now)
        self.open[reservation.id] = (reservation, there)
        return reservation

    def settle(self, reservation: Reservation, usage: Usage | None, *, spent: bool) -> None:
        """Correct a reservation by what was used; the second call for one is ignored."""
        found = self.open.pop(reservation.id, None)
        if found is None:
            return
        ended = Ended(reservation, found[1], *correction(reservation, usage, spent=spent))
        if self.alone is not None and self.alone.settle(ended):
            return
        try:
            self.tell_ended(ended)
        except SharedUnavailable:
            self.cut_off()
            if self.alone is not None and reservation.id not in self.alone.owed:
                self.alone.settle(ended)

    def tell_ended(self, ended: Ended) -> None:
        """Tell Redis of a call that is over; twice is once."""
        self.ask(
            "settle",
            ended.reservation.buckets,
            self._now(),
            id=ended.reservation.id,
            at=ended.at,
            requests=ended.requests,
            tokens=ended.tokens,
        )

    def observe(
        self,
        bucket: Bucket,
        observations: Sequence[Observation],
        now: float,
        sent_at: float | None = None,
    ) -> None:
        """Take over what an answer said; Redis is told only of what changes the picture."""
        there = self._there(now)
        age = 0.0 if sent_at is None else max(0.0, now - sent_at)
        news = [o for o in observations if self.picture.is_news(bucket, o, there, there - age)]
        if not news:
            return
        if self.alone is not None:
            self.picture.observe(bucket, news, there, there - age)
            return
        seen = [
            {
                name: value
                for name in ("window", "limit", "remaining", "resets_in")
                if (value := getattr(o, name)) is not None
            }
            for o in news
        ]
        try:
            self.ask("observe", (bucket,), now, seen=seen, age=age)
        except SharedUnavailable:
            self.cut_off()

    # What only asks: answered from the picture, in the time of Redis.

    def opens_at(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> float:
        """From when ``reserve`` would succeed if nothing else were used."""
        there = self._there(now)
        opens = self.picture.opens_at(buckets, tokens, there)
        if opens == NEVER and self.alone is not None:
            return now + LONELY_WAIT
        return now if opens <= there else opens - self.offset

    def pressure(self, buckets: tuple[Bucket, ...], now: float) -> float:
        """How used up the tightest window is, 0 (all left) to 1 (nothing left)."""
        return self.picture.pressure(buckets, self._there(now))

    def headroom(self, buckets: tuple[Bucket, ...], now: float) -> Headroom:
        """What is left in every window of these buckets."""
        found = self.picture.headroom(buckets, self._there(now))
        if self._callers_clock:
            return found
        return Headroom(self._here(found.requests), self._here(found.tokens))

    def _here(self, windows: tuple[Window, ...]) -> tuple[Window, ...]:
        return tuple(Window(w.cap, w.left, w.resets_at - self.offset) for w in windows)

    def tally(self, bucket: Bucket, now: float) -> Tally:
        """All that is counted of this bucket, capped or not, to be shown to people."""
        found = self.picture.tally(bucket, self._there(now))
        for used in (found.minute, found.day, found.month):
            used.resets_at -= self.offset
        found.closed_until -= self.offset
        return found

    def prune(self, now: float) -> None:
        """Forget the buckets in which nothing counts any more; in Redis they end by themselves."""
        self.picture.prune(self._there(now))
        held = {b.name for reservation, _ in self.open.values() for b in reservation.buckets}
        for name in [n for n in self.known if n not in self.picture and n not in held]:
            del self.known[name]

    def restore(self, bucket: Bucket, earlier: Earlier, now: float) -> None:
        """Count what the request log knows, where Redis knows less."""
        there = self._there(now)
        slots: dict[int, list[int]] = {}
        for second, requests, tokens in sorted(earlier.minute):
            slot = slots.setdefault(second, [0, 0])
            slot[0] += requests
            slot[1] += tokens
        known = {
            "slots": [n for second, used in slots.items() for n in (second, *used)],
            "day": [*day_of(there, bucket.zone), *earlier.day],
            "month": [*month_of(there, bucket.zone), *earlier.month],
            "pace": [0, 0, 0],
            "closed": 0,
            "stated": {},
            "monthly": int(counts_month(bucket.limits)),
        }
        self.ask("merge", (bucket,), now, anew=True, known=[known])

    def learn(self, name: str, known: Known) -> None:
        """Take over what Redis says of a bucket, unless something newer was heard before."""
        before = self.known.get(name)
        if before is not None and before.version >= known.version:
            return
        self.known[name] = known
        if self.alone is None:
            self.picture.replace(name, known)

    def forget_versions(self) -> None:
        """Redis may have begun to count anew: whatever it says next is newer."""
        self.known = {name: Known(-1, known.state) for name, known in self.known.items()}

    def cut_off(self) -> None:
        """Redis is gone, or was emptied: go on alone."""
        if self.alone is None or self.alone.joint:
            if self.alone is None and len(self.workers) > 1:
                self.picture.doubt(self._there(self._now()))
            self.alone = Alone(self.picture, self.workers, self.worker, self.alone)

    def rejoin(self) -> None:
        """All workers have told what they used: count together again."""
        self.alone = None
        self.picture.reset(None)
        self.picture.clear()
        for name, known in self.known.items():
            self.picture.replace(name, known)


def correction(reservation: Reservation, usage: Usage | None, *, spent: bool) -> tuple[int, int]:
    """Requests and tokens by which a settled reservation is to be corrected."""
    if not spent:
        return -1, -reservation.tokens
    if usage is not None and (usage.exact or usage.total > reservation.tokens):
        return 0, usage.total - reservation.tokens
    return 0, 0


def counts_month(limits: Limits) -> bool:
    return limits.requests_per_month is not None or limits.tokens_per_month is not None
