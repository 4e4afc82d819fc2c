"""Waiting a bounded time for a slot, clients in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from freellmapi.core.cancel import Cancellation
from freellmapi.core.clock import Clock
from freellmapi.core.errors import POLICY, ErrorKind
from freellmapi.core.route import Attempt, Candidate, Skipped
from freellmapi.core.values import dataclass
from freellmapi.router.line import Line
from freellmapi.router.places import NAP, Booked, Place, Places

SOON = 0.05
"""Seconds to the next look at a candidate whose wait is over."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Until when to wait at most (epoch seconds), and for which place if it is for one."""

    until: float
    place: Place | None = None
    in_line: tuple[Candidate, ...] = ()
    """Candidates with too many calls under way: wait for one of them to end instead."""


def next_slot(
    skipped: Iterable[Skipped],
    attempts: Iterable[Attempt],
    places: Places,
    client: int | None,
    cost: Callable[[Candidate], int],
    now: float,
    latest: float,
) -> Wait | None:
    """The soonest slot up to ``latest``; None when waiting so long would not help.

    ``cost`` is the tokens that a candidate's call takes. A slot under a cap is booked, so
    that nobody who comes later takes it. A wait that a provider stated is only waited out:
    by the last of ``attempts`` at each candidate.
    """
    timed = [s for s in skipped if s.until is not None and s.candidate is not None]
    stated = [a.opens_at for a in attempts if a.opens_at is not None and _is_a_wait(a.error)]
    stated += [s.until for s in timed if s.until is not None and _is_a_wait(s.kind)]
    capped = [(s.until, s.candidate) for s in timed if s.kind is None and s.until and s.candidate]
    at = min([*stated, *(until for until, _ in capped)], default=None)
    if at is None or max(at, now + SOON) > latest:
        taken = (places.take_over(c, cost(c), client, now, latest) for _, c in capped)
        place = next((place for place in taken if place is not None), None)
        return None if place is None else Wait(latest, place)
    in_line = tuple(candidate for until, candidate in capped if until <= now)
    if in_line:
        # What opens meanwhile is worth another look at all candidates.
        ends = [s.until for s in timed if s.until is not None and s.until > now]
        return Wait(min([*ends, *(w for w in stated if w > now), latest]), in_line=in_line)
    if at not in stated:
        candidate = min(capped, key=lambda found: found[0])[1]
        place = places.book(candidate, cost(candidate), client, now, latest)
        if place is not None:
            return Wait(latest, place)
        if places.ledger.opens_at(candidate.buckets, cost(candidate), now) > latest:
            # Somebody took the last place while we asked; what is left is to be seen anew.
            return Wait(now + SOON)
    return Wait(max(at, now + SOON))


def wait_for(
    wait: Wait,
    line: Line,
    places: Places,
    client: int | None,
    cost: Callable[[Candidate], int],
    clock: Clock,
    cancel: Cancellation,
) -> Booked | None:
    """Wait it out; the slot that is held then, if one is."""
    if wait.place is not None:
        return places.wait(wait.place, cancel)
    if not wait.in_line:
        wait_until(clock, wait.until, cancel)
        return None
    found = line.slot(wait.in_line, client, cost, places.ledger, clock, wait.until, cancel)
    return None if found is None else Booked(*found)


def wait_until(clock: Clock, at: float, cancel: Cancellation) -> None:
    """Let others run until then (epoch seconds), or until the client has left.

    How long that is is settled now: a wall clock that is set meanwhile changes nothing.
    """
    end = clock.monotonic() + at - clock.now()
    while not cancel.cancelled:
        left = end - clock.monotonic()
        if left <= 0:
            return
        clock.sleep(min(left, NAP))


def _is_a_wait(kind: ErrorKind | None) -> bool:
    return kind is not None and POLICY[kind].status == 429
