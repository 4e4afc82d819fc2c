"""The memory ledger: what each key, model and account has used, and what is left.

A reservation takes from every window of every bucket or from none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from freellmapi.core.limits import Bucket, Usage
from freellmapi.core.route import Reservation
from freellmapi.core.values import dataclass
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.account import Account
from freellmapi.router.closed import Closed
from freellmapi.router.counter import MINUTE_SLOTS, UNKNOWN
from freellmapi.router.headroom import Headroom, left_of
from freellmapi.router.room import fits, lasting, opens_at, pressure
from freellmapi.router.tally import Tally, tally


class Ledger(Protocol):
    """Headroom, held before a call and corrected after it. Times are epoch seconds."""

    closed: Closed
    """Models without room, as plans found them; told of room that is given back."""

    @property
    def under_way(self) -> int:
        """How many reservations of this process are not settled."""
        ...

    def reserve(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> Reservation | None:
        """Headroom for one call of so many tokens, or None if any window lacks it."""
        ...

    def book(
        self, buckets: tuple[Bucket, ...], tokens: int, now: float, latest: float
    ) -> Reservation | None:
        """The earliest place, from ``now`` to ``latest``, that no earlier call has taken.

        The call is to be made at ``Reservation.at``, not before. None when that would be
        later, or when nobody can say: calls under way are in the way, the day or month is
        used up, or a cap is 0.
        """
        ...

    def settle(self, reservation: Reservation, usage: Usage | None, *, spent: bool) -> None:
        """Correct a reservation by what was used; the second call for one is ignored.

        ``spent`` False gives everything back. With ``usage`` None, or one that is only an
        estimate below the reserved tokens, what was reserved is kept.
        """
        ...

    def opens_at(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> float:
        """From when ``reserve`` would succeed, or may, if nothing else were used."""
        ...

    def pressure(self, buckets: tuple[Bucket, ...], now: float) -> float:
        """How used up the tightest window is, 0 (all left) to 1 (nothing left)."""
        ...

    def headroom(self, buckets: tuple[Bucket, ...], now: float) -> Headroom:
        """What is left in every window of these buckets."""
        ...

    def tally(self, bucket: Bucket, now: float) -> Tally:
        """All that is counted of this bucket, capped or not, to be shown to people."""
        ...

    def observe(
        self,
        bucket: Bucket,
        observations: Sequence[Observation],
        now: float,
        sent_at: float | None = None,
    ) -> None:
        """Take over what an answer said of this bucket's windows (see ``learning.learn``).

        ``sent_at`` is when the call was made that is answered; None is just now.
        """
        ...

    def prune(self, now: float) -> None:
        """Forget the buckets in which nothing counts any more."""
        ...

    def restore(self, bucket: Bucket, earlier: Earlier, now: float) -> None:
        """Count what the request log knows of an earlier life of this process."""
        ...


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was used of one bucket before the restart: requests and tokens."""

    minute: tuple[tuple[int, int, int], ...] = ()
    """(second, requests, tokens); these are in ``day`` and ``month`` as well."""
    day: tuple[int, int] = (0, 0)
    month: tuple[int, int] = (0, 0)


class MemoryLedger:
    """The ledger of a single process; greenlets never switch inside its methods."""

    def __init__(self) -> None:
        self._counters: dict[str, Account] = {}
        self._last_id = 0
        self._open: set[int] = set()
        self._latest = 0.0
        self.closed = Closed()

    @property
    def under_way(self) -> int:
        """How many reservations are not settled."""
        return len(self._open)

    def reserve(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> Reservation | None:
        """Headroom for one call of so many tokens, or None if any window lacks it."""
        now = self._time(now)
        counters = [self._counter(bucket, now) for bucket in buckets]
        for counter in counters:
            if not fits(counter, counter.limits, tokens, now):
                return None
        return self._held(buckets, counters, tokens, now)

    def book(
        self, buckets: tuple[Bucket, ...], tokens: int, now: float, latest: float
    ) -> Reservation | None:
        """The earliest place, from ``now`` to ``latest``, that no earlier call has taken.

        A booked call holds its place in the minute from then on, in the day of that time,
        and among the calls under way at once.
        """
        at = now = self._time(now)
        counters = [self._counter(bucket, now) for bucket in buckets]
        if not all(lasting(c, c.limits, tokens, now) for c in counters):
            return None
        while True:
            opens = max((opens_at(c, c.limits, tokens, at) for c in counters), default=at)
            if opens > latest:
                return None
            if opens == at:
                return self._held(buckets, counters, tokens, at)
            at = opens

    def _held(
        self, buckets: tuple[Bucket, ...], counters: list[Account], tokens: int, at: float
    ) -> Reservation:
        for counter in counters:
            counter.add(at, 1, tokens)
            counter.in_flight += 1
        self._last_id += 1
        self._open.add(self._last_id)
        return Reservation(self._last_id, buckets, tokens, at)

    def settle(self, reservation: Reservation, usage: Usage | None, *, spent: bool) -> None:
        """Correct a reservation by what was used; the second call for one is ignored.

        ``spent`` False gives everything back. With ``usage`` None, or one that is only an
        estimate below the reserved tokens, what was reserved is kept.
        """
        if reservation.id not in self._open:
            return
        self._open.discard(reservation.id)
        requests, tokens = 0, 0
        if not spent:
            requests, tokens = -1, -reservation.tokens
        elif usage is not None and (usage.exact or usage.total > reservation.tokens):
            tokens = usage.total - reservation.tokens
        for bucket in reservation.buckets:
            counter = self._counters[bucket.name]
            counter.in_flight -= 1
            counter.pressed = UNKNOWN
            if requests or tokens:
                counter.correct(reservation.at, requests, tokens)
            self.closed.eased(bucket.name)

    def opens_at(self, buckets: tuple[Bucket, ...], tokens: int, now: float) -> float:
        """Epoch seconds from which ``reserve`` would succeed if nothing else were used."""
        opens = latest = self._time(now)
        for bucket in buckets:
            counter = self._counter(bucket, latest)
            # A stated limit is forgotten some day: from then on other caps hold.
            at = min(opens_at(counter, counter.limits, tokens, latest), counter.limits_until)
            opens = at if at > opens else opens
        # Whoever reads the clock once, and asks of many, asks with a time that is over.
        return opens if opens > latest else now

    def pressure(self, buckets: tuple[Bucket, ...], now: float) -> float:
        """How used up the tightest window is, 0 (all left) to 1 (nothing left)."""
        now = self._time(now)
        most = 0.0
        for bucket in buckets:
            pressed = self._pressed(self._counter(bucket, now), now)
            most = pressed if pressed > most else most
        return most

    def headroom(self, buckets: tuple[Bucket, ...], now: float) -> Headroom:
        """What is left in every window of these buckets."""
        now = self._time(now)
        found = [self._left(self._counter(bucket, now), now) for bucket in buckets]
        if len(found) == 1:
            return found[0]
        return Headroom(
            tuple(window for left in found for window in left.requests),
            tuple(window for left in found for window in left.tokens),
        )

    def _left(self, counter: Account, now: float) -> Headroom:
        """What is left of one bucket, found once for as long as nothing changes."""
        second = int(now)
        kept = counter.left
        if kept is not None and counter.pressed >= 0 and (counter.slots or kept[0] == second):
            return kept[1]
        found = left_of(counter, counter.limits, now)
        # Marks it as it is now: whatever changes it from here on says so there.
        self._pressed(counter, now)
        counter.left = (second, found)
        return found

    def _pressed(self, counter: Account, now: float) -> float:
        pressed = counter.pressed
        if pressed < 0:
            pressed = pressure(counter, counter.limits, now)
            # What is booked ahead changes with the time that is asked for.
            if counter.newest <= now:
                counter.pressed, counter.left = pressed, None
        return pressed

    def tally(self, bucket: Bucket, now: float) -> Tally:
        """All that is counted of this bucket, capped or not."""
        now = self._time(now)
        return tally(self._counter(bucket, now), now)

    def observe(
        self,
        bucket: Bucket,
        observations: Sequence[Observation],
        now: float,
        sent_at: float | None = None,
    ) -> None:
        """Take over what an answer said of this bucket's windows.

        A lower limit is kept. Where less remains than we know to be used, somebody else
        uses the key: that is counted too. Where nothing remains and we did not know why,
        the bucket is closed until the reset that was stated.
        """
        now = self._time(now)
        counter = self._counter(bucket, now)
        before = counter.limits
        for seen in observations:
            counter.observe(seen, now, now if sent_at is None else sent_at)
            if counter.limits is not before:
                self.closed.eased(bucket.name)

    def restore(self, bucket: Bucket, earlier: Earlier, now: float) -> None:
        """Count what the request log knows of an earlier life of this process."""
        now = self._time(now)
        counter = self._counter(bucket, now)
        counter.pressed = UNKNOWN
        counter.day.add(now, *earlier.day)
        counter.month.add(now, *earlier.month)
        for second, requests, tokens in earlier.minute:
            if second > int(now) - MINUTE_SLOTS:
                counter.add_to_minute(second, requests, tokens)

    def prune(self, now: float) -> None:
        """Forget the buckets in which nothing counts any more."""
        now = self._time(now)
        for name in [n for n, counter in self._counters.items() if counter.is_idle(now)]:
            del self._counters[name]

    def _time(self, now: float) -> float:
        """``now``, but a clock that went back a little gives no headroom away."""
        if now >= self._latest or now < self._latest - MINUTE_SLOTS:
            self._latest = now
        return self._latest

    def _counter(self, bucket: Bucket, now: float) -> Account:
        counter = self._counters.get(bucket.name)
        if counter is None:
            counter = self._counters[bucket.name] = Account()
        counter.roll(now, bucket.zone)
        if counter.given is not bucket.limits or now >= counter.limits_until:
            counter.apply(bucket.limits, now)
        return counter
