"""When a first byte is late enough to ask a second candidate, and how often that may be."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

from freellmapi.core.errors import DAY, ErrorKind
from freellmapi.core.route import Attempt, Candidate

KEPT = 50
"""Newest waits that are remembered of each model, for streams and for whole answers."""
ENOUGH = 10
"""Waits from which something can be said."""
SHORTEST = 0.5
"""Seconds that a first byte may always take."""
LATE = 0.95
CUT_SHORT = frozenset({ErrorKind.TIMEOUT, ErrorKind.HEDGED_OUT})
"""Calls that had not answered when they were ended: they would have taken longer yet."""


def quantile(waits: Iterable[float], share: float) -> float:
    """The shortest of these waits within which so great a share of them was over."""
    ordered = sorted(waits)
    return ordered[max(math.ceil(len(ordered) * share), 1) - 1]


class Hedging:
    """What the one process knows of its models' waits, and the day's second candidates.

    A wait is to the first token of a stream, or to the end of a whole answer: two things,
    learned apart.
    """

    def __init__(self) -> None:
        self._waits: dict[tuple[str, bool], deque[float]] = {}
        self._day = 0
        self._requests = 0
        self._hedged = 0

    def record(self, attempt: Attempt, first_token: float | None) -> None:
        """Learn from a call that is over."""
        wait, streamed = first_token, attempt.streamed
        if wait is None:
            if attempt.error in CUT_SHORT:
                known = self.late_after(attempt.ref, streamed)
                # That it took longer than next to nothing tells nothing.
                wait = attempt.duration if known is None or attempt.duration > known else None
            elif attempt.error is None:
                wait = attempt.duration
        if wait is not None:
            self._waits.setdefault((attempt.ref, streamed), deque(maxlen=KEPT)).append(wait)

    def late_after(self, ref: str, streamed: bool) -> float | None:
        """Seconds after which the model is later than in 95 of 100 calls; None: unknown."""
        waits = self._waits.get((ref, streamed), ())
        return max(quantile(waits, LATE), SHORTEST) if len(waits) >= ENOUGH else None

    def came(self, now: float) -> None:
        """A request has come (epoch seconds); days are counted in UTC."""
        day = int(now // DAY)
        if day != self._day:
            self._day, self._requests, self._hedged = day, 0, 0
        self._requests += 1

    def allows(self, share: float) -> bool:
        """Whether one more second candidate is within this share of the day's requests."""
        return self._hedged + 1 <= share * self._requests

    def hedged(self) -> None:
        """A second candidate is asked."""
        self._hedged += 1


def rivals(late: Candidate, following: Sequence[Candidate], *, loyal: bool) -> list[Candidate]:
    """Who may be asked beside one that is late, best first.

    Another provider before another model or key of the silent one; where the caller is
    loyal to its model, the same model elsewhere first.
    """

    def order(candidate: Candidate) -> tuple[bool, bool]:
        stranger = loyal and candidate.model.family != late.model.family
        return candidate.provider.id == late.provider.id, stranger

    return sorted(following, key=order)
