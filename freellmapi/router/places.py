"""Places under caps that are booked by who waits, and used by whose turn it is.

A place is never given up: it changes hands. So no more calls are made than were booked,
whoever makes them.
"""

from __future__ import annotations

from freellmapi.core.cancel import Cancellation
from freellmapi.core.clock import Clock
from freellmapi.core.route import Candidate, Reservation
from freellmapi.core.values import dataclass
from freellmapi.router.ledger import Ledger
from freellmapi.router.turns import Waiter, join, round_of

NAP = 0.25
"""Seconds after which a waiting request looks whether its client is still there."""


@dataclass(frozen=True, slots=True)
class Booked:
    """A slot that is held from a future time on."""

    candidate: Candidate
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation that lies ahead, and when its time comes (monotonic seconds)."""

    reservation: Reservation
    due: float


@dataclass(eq=False, slots=True)
class Place(Waiter):
    """A request that waits for a candidate, and what it holds there for now."""

    candidate: Candidate
    tokens: int
    """What its call takes."""
    needs_tokens: bool
    """Whether a cap on tokens is in force."""
    held: Held | None = None
    """None when the turn of another client has taken it."""

    def could_use(self, held: Held) -> bool:
        return self.tokens <= held.reservation.tokens or not self.needs_tokens


class Places:
    """Those of one process, in memory; what they count in is the ledger's affair."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self._clock = clock
        self._lines: dict[tuple[str, ...], list[Place]] = {}
        """Names of the buckets -> who waits for room in them, in turn."""

    def waited_for(self) -> list[Candidate]:
        """Candidates with a line before them."""
        return [line[0].candidate for line in self._lines.values()]

    def book(
        self, candidate: Candidate, tokens: int, client: int | None, now: float, latest: float
    ) -> Place | None:
        """The earliest place up to then; that of another client when all are taken."""
        found = self.ledger.book(candidate.buckets, tokens, now, latest)
        if found is None:
            return self.take_over(candidate, tokens, client, now, latest)
        place = self._place(candidate, tokens, client, now)
        place.held = Held(found, self._clock.monotonic() + found.at - now)
        return place

    def take_over(
        self, candidate: Candidate, tokens: int, client: int | None, now: float, latest: float
    ) -> Place | None:
        """The place of who has the last turn, if ours would be before it."""
        if _key(candidate) not in self._lines:
            return None
        place = self._place(candidate, tokens, client, now)
        end = self._clock.monotonic() + latest - now
        for other in reversed(self._lines[_key(candidate)]):
            if other is place:
                break
            if other.held is not None and other.held.due <= end and self._may_have(place, other):
                place.held, other.held = other.held, None
                self._leave(other)
                return place
        self._leave(place)
        return None

    def wait(self, place: Place, cancel: Cancellation) -> Booked | None:
        """Until it is time and our turn; None when somebody else's turn took the place.

        How long that is was settled before: a wall clock that is set changes nothing.
        """
        try:
            while place.held is not None and not cancel.cancelled:
                left = place.held.due - self._clock.monotonic()
                if left > 0:
                    self._clock.sleep(min(left, NAP))
                elif not self._is_passed_on(place, place.held):
                    break
            return None if place.held is None else Booked(place.candidate, place.held.reservation)
        finally:
            self._leave(place)

    def _is_passed_on(self, place: Place, held: Held) -> bool:
        """Let the first in turn have what is due, for what it holds, which comes later."""
        for other in self._lines[_key(place.candidate)]:
            if other is place:
                break
            if self._may_have(place, other) and other.could_use(held):
                place.held, other.held = other.held, held
                return True
        return False

    def _may_have(self, place: Place, other: Place) -> bool:
        """Whether another one's is of use here, and not just being used."""
        held = other.held
        return held is not None and held.due > self._clock.monotonic() and place.could_use(held)

    def _place(self, candidate: Candidate, tokens: int, client: int | None, now: float) -> Place:
        """One in the line, with nothing held yet."""
        needs_tokens = bool(self.ledger.headroom(candidate.buckets, now).tokens)
        place = Place(client, candidate, tokens, needs_tokens)
        line = self._lines.setdefault(_key(candidate), [])
        place.round = round_of(client, [line])
        join(line, place)
        return place

    def _leave(self, place: Place) -> None:
        key = _key(place.candidate)
        rest = [other for other in self._lines.get(key, ()) if other is not place]
        if rest:
            self._lines[key] = rest
        else:
            self._lines.pop(key, None)


def _key(candidate: Candidate) -> tuple[str, ...]:
    return tuple(bucket.name for bucket in candidate.buckets)
