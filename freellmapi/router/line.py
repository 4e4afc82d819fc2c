"""The line before calls under way: when one ends, whose turn it is goes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from freellmapi.core.cancel import Cancellation
from freellmapi.core.clock import Clock
from freellmapi.core.route import Candidate, Reservation
from freellmapi.router.ledger import Ledger
from freellmapi.router.turns import Waiter, join, round_of

LOOK = 0.02
"""Seconds to the next look of who is first in a line, whose turn may come at any time."""
LOOK_BEHIND = 0.05
"""Seconds to the next look of those behind."""


class Line:
    """Requests that wait for a candidate with caps on calls at the same time.

    Nobody can say when such a call ends, so a place cannot be booked. Who comes later
    keeps away from a candidate that somebody waits for. One for each process.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Waiter]] = {}
        """Name of a bucket -> who waits for it, in turn."""

    def is_free(self, candidate: Candidate, who: Waiter | None = None) -> bool:
        """Whether nobody is before ``who`` in waiting for this candidate."""
        if not self._waiting:
            return True
        lines = (self._waiting.get(name) for name in _names(candidate))
        return all(not line or line[0] is who for line in lines)

    def slot(
        self,
        candidates: Sequence[Candidate],
        client: int | None,
        cost: Callable[[Candidate], int],
        ledger: Ledger,
        clock: Clock,
        until: float,
        cancel: Cancellation,
    ) -> tuple[Candidate, Reservation] | None:
        """The first of them that has room when it is our turn; None after ``until``."""
        who = Waiter(client)
        # A wall clock that is set meanwhile must not make the wait longer.
        end = clock.monotonic() + until - clock.now()
        self._join(who, candidates)
        try:
            while not cancel.cancelled and clock.monotonic() < end:
                turns = [c for c in candidates if self.is_free(c, who)]
                for candidate in turns:
                    reservation = ledger.reserve(candidate.buckets, cost(candidate), clock.now())
                    if reservation is not None:
                        return candidate, reservation
                clock.sleep(LOOK if turns else LOOK_BEHIND)
            return None
        finally:
            self._leave(who)

    def _join(self, who: Waiter, candidates: Sequence[Candidate]) -> None:
        names = {name for candidate in candidates for name in _names(candidate)}
        lines = [self._waiting.setdefault(name, []) for name in names]
        who.round = round_of(who.client, lines)
        for line in lines:
            join(line, who)

    def _leave(self, who: Waiter) -> None:
        self._waiting = {
            name: rest
            for name, line in self._waiting.items()
            if (rest := [other for other in line if other is not who])
        }


def _names(candidate: Candidate) -> list[str]:
    return [b.name for b in candidate.buckets if b.limits.concurrency is not None]
