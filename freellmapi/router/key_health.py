"""What is known about one key, what each event tells about it, and when it is probed next."""

from __future__ import annotations

from freellmapi.core.errors import DAY, ErrorKind
from freellmapi.core.values import dataclass
from freellmapi.providers.probe import ERROR, HEALTHY, INVALID, RATE_LIMITED, Verdict

UNCHECKED = "unchecked"

START = 20.0
"""Seconds until a key of which nothing is known is probed."""
CONFIRM = 30.0
"""Seconds until a first rejection is confirmed by a probe."""
RECHECK = 3_600.0
"""Seconds between probes of keys that are invalid or out of credit."""
APART = 10.0
"""Rejections closer together than so many seconds are one: calls that were under way."""
MOST_DOUBLINGS = 7
# Failures that only a key that was let in is given.
LET_IN = frozenset(
    {
        ErrorKind.RATE_LIMITED,
        ErrorKind.DAILY_QUOTA,
        ErrorKind.CONTEXT_TOO_LONG,
        ErrorKind.CONTENT_POLICY,
        ErrorKind.STREAM_BROKEN,
    }
)


@dataclass(slots=True)
class KeyHealth:
    """One key. Times are epoch seconds; ``status`` is one of ``storage.keys.STATUSES``."""

    told_at: float
    """When a live answer or a probe last told about the key."""
    status: str = UNCHECKED
    reason: str = ""
    jitter: float = 1.0
    """What the pace of the next probe is multiplied by."""
    rejections: int = 0
    """Definite rejections in a row: the first one benches, the second one disables."""
    rejected_at: float = 0.0
    misses: int = 0
    """Probes in a row that told nothing about the key."""
    vouched: bool = False
    """Whether a probe has lifted a rejection that no live answer has disproved since."""
    doubts: int = 0
    """How often a probe vouched for a key that was rejected again: some lists are public."""
    in_debt: bool = False
    """Out of credit, where a probe can tell when that is over."""

    @property
    def rejected(self) -> bool:
        """Whether the key is not to be asked until a probe or the user clears it."""
        return self.rejections > 0 or self.status == INVALID

    def due_at(self, interval: float, routine: bool) -> float | None:
        """When to probe it, or None for not at all.

        ``routine`` is False where a probe costs a request, so that only what nothing else
        would ever end is looked at again.
        """
        pace = self._pace(interval, routine)
        return None if pace is None else self.told_at + pace * self.jitter

    def _pace(self, interval: float, routine: bool) -> float | None:
        if self.status == INVALID:
            return min(RECHECK * _doubled(self.doubts), DAY)
        if self.rejections:
            return min(CONFIRM * _doubled(self.misses), RECHECK)
        if self.in_debt:
            return RECHECK
        if not routine:
            return None
        return min(START, interval) if self.status == UNCHECKED else interval

    def answered(self, now: float) -> None:
        """A live call was answered. One that began before a rejection disproves nothing."""
        if self.rejected:
            return
        self.told_at = now
        self.vouched = self.in_debt = False
        self.doubts = self.misses = 0
        if self.status != HEALTHY:
            self.status, self.reason = HEALTHY, ""

    def let_in(self, now: float) -> None:
        """A live call failed for a reason that only a good key is given."""
        if not self.rejected:
            self.told_at = now

    def refused(self, now: float, reason: str, *, live: bool) -> None:
        """A definite rejection, of a live call or of a probe."""
        if self.rejected_at and now - self.rejected_at < APART:
            return
        contradicted = live and self.vouched
        self.told_at = self.rejected_at = now
        self.vouched, self.misses = False, 0
        self.doubts += contradicted
        self.rejections = 2 if contradicted else self.rejections + 1
        if self.rejections > 1 or self.status == INVALID:
            self.status, self.reason = INVALID, reason

    def probed(self, verdict: Verdict, now: float) -> None:
        """A probe's verdict. One that tells nothing about the key changes no rejection."""
        if verdict.status == INVALID:
            self.refused(now, verdict.reason, live=False)
            return
        self.told_at = now
        # A door-keeper may turn away by rate before it looks at the key.
        if verdict.status == ERROR or (self.rejected and verdict.status == RATE_LIMITED):
            self.misses += 1
            if not self.rejected:
                self.status, self.reason = verdict.status, verdict.reason
            return
        self.vouched = self.vouched or self.rejected
        self.rejections = self.misses = 0
        self.rejected_at = 0.0
        self.status, self.reason = verdict.status, verdict.reason


def _doubled(times: int) -> int:
    return 1 << min(times, MOST_DOUBLINGS)
