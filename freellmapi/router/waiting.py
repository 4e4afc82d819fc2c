"""Waiting a bounded time for a slot, first come first served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from freellmapi.core.cancel import Cancellation
from freellmapi.core.clock import Clock
from freellmapi.core.errors import POLICY
from freellmapi.core.route import Attempt, Candidate, Reservation, Skipped
from freellmapi.router.ledger import Ledger

NAP = 0.25
"""Seconds after which a waiting request looks whether its client is still there."""
SOON = 0.05
"""Seconds to the next look when nobody can say when a slot frees: calls are under way."""


@dataclass(frozen=True, slots=True)
class Booked:
    """A slot that is held from a future time on."""

    candidate: Candidate
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Wait:
    """Until when to wait (epoch seconds), and the slot that is held there, if one is."""

    until: float
    booked: Booked | None = None


def next_slot(
    skipped: Iterable[Skipped],
    attempts: Iterable[Attempt],
    ledger: Ledger,
    tokens: int,
    now: float,
    latest: float,
) -> Wait | None:
    """The soonest slot up to ``latest``; None when waiting so long would not help.

    A slot under a cap is booked, so that nobody who comes later takes it. A wait that a
    provider stated is only waited out: by the last of ``attempts`` at each candidate.
    """
    stated = [a.opens_at for a in attempts if a.opens_at is not None and _is_a_wait(a)]
    capped: list[tuple[float, Candidate]] = []
    for left_out in skipped:
        if left_out.until is None or left_out.candidate is None:
            continue
        if left_out.kind is None:
            capped.append((left_out.until, left_out.candidate))
        elif POLICY[left_out.kind].status == 429:
            stated.append(left_out.until)
    at = min([*stated, *(until for until, _ in capped)], default=None)
    if at is None or max(at, now + SOON) > latest:
        return None
    if at not in stated:
        candidate = min(capped, key=lambda found: found[0])[1]
        reservation = ledger.book(candidate.buckets, tokens, now, latest)
        if reservation is not None:
            return Wait(reservation.at, Booked(candidate, reservation))
    return Wait(max(at, now + SOON))


def wait_until(clock: Clock, at: float, cancel: Cancellation) -> None:
    """Let others run until then (epoch seconds), or until the client has left."""
    while not cancel.cancelled:
        left = at - clock.now()
        if left <= 0:
            return
        clock.sleep(min(left, NAP))


def _is_a_wait(attempt: Attempt) -> bool:
    return attempt.error is not None and POLICY[attempt.error].status == 429
