"""How a worker goes on while Redis is gone: with its share of what the last picture left."""

from __future__ import annotations

from freellmapi.core.limits import Bucket
from freellmapi.core.route import Reservation
from freellmapi.core.values import dataclass
from freellmapi.router.account import Account
from freellmapi.router.pictured import Pictured
from freellmapi.router.room import fits
from freellmapi.router.share import Part, Share


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that is over, when it was counted, and by how much that is to be corrected."""

    reservation: Reservation
    at: float
    requests: int
    tokens: int


class Alone:
    """What is taken without Redis, in the picture at its weight and for Redis as it was.

    ``joint`` is the time after Redis came back in which others may not have told yet what
    they used: a call then needs room in Redis and in the share.
    """

    def __init__(
        self,
        picture: Pictured,
        workers: tuple[str, ...],
        worker: str,
        before: Alone | None = None,
    ) -> None:
        self.joint = False
        self.more: dict[str, dict[int, list[int]]] = before.more if before else {}
        """What Redis was not told yet of each bucket: second -> [requests, tokens]."""
        self.buckets: dict[str, Bucket] = before.buckets if before else {}
        """Those in ``more``."""
        self.owed: dict[int, Ended] = before.owed if before else {}
        """Calls that ended, and that Redis does not know, or may not know, to have ended."""
        self.share: Share = before.share if before else Share(workers, worker)
        self._weighing: set[int] = before._weighing if before else set()
        self._untold: set[int] = set()
        self._picture = picture
        picture.reset(self.share)

    def take(self, buckets: tuple[Bucket, ...], tokens: int, there: float) -> bool:
        """Whether the call is within this worker's share, which it is then held in."""
        held: list[tuple[Account, Part]] = []
        for bucket in buckets:
            counter = self._picture.counter(bucket, there)
            part = self.share.of(bucket, counter, there)
            if tokens > part.most_tokens:
                return False
            if not fits(counter, part.limits, tokens * part.weight, there):
                return False
            held.append((counter, part))
        for counter, part in held:
            counter.add(there, part.weight, tokens * part.weight)
            counter.in_flight += part.weight
        return True

    def taken(self, reservation: Reservation, at: float) -> None:
        """Remember a call that was taken, for Redis too if that knows nothing of it."""
        self._weighing.add(reservation.id)
        if self.joint:
            return
        self._untold.add(reservation.id)
        for bucket in reservation.buckets:
            self.buckets[bucket.name] = bucket
            self._add(bucket, at, 1, reservation.tokens)

    def join(self) -> None:
        """From now on Redis hears of every call."""
        self.joint = True
        self._untold.clear()

    def give_back(self, buckets: tuple[Bucket, ...], tokens: int, there: float) -> None:
        """Redis had no room for what the share had room for."""
        self._correct(buckets, there, -1, -tokens, weighing=True)

    def settle(self, ended: Ended) -> bool:
        """A call is over; whether Redis need not be told now."""
        reservation = ended.reservation
        weighing = reservation.id in self._weighing
        self._weighing.discard(reservation.id)
        buckets, at = reservation.buckets, ended.at
        self._correct(buckets, at, ended.requests, ended.tokens, weighing=weighing)
        if reservation.id in self._untold:
            self._untold.discard(reservation.id)
            for bucket in buckets:
                self._add(bucket, at, ended.requests, ended.tokens)
            return True
        self.owed[reservation.id] = ended
        return not self.joint

    def _correct(
        self,
        buckets: tuple[Bucket, ...],
        at: float,
        requests: int,
        tokens: int,
        *,
        weighing: bool,
    ) -> None:
        for bucket in buckets:
            counter = self._picture.counter(bucket, at)
            weight = self.share.of(bucket, counter, at).weight if weighing else 1
            counter.in_flight -= weight
            counter.correct(at, requests * weight, tokens * weight)
            self._picture.closed.eased(bucket.name)

    def _add(self, bucket: Bucket, at: float, requests: int, tokens: int) -> None:
        slot = self.more.setdefault(bucket.name, {}).setdefault(int(at), [0, 0])
        slot[0] += requests
        slot[1] += tokens
