"""Benches: what is not asked for a while, why, and how it comes back.

Failures of our own judging climb a ladder (none, 5, 10, 20, then 30 s) and come back
half-open: one live request tries the benched scope again while the others pass it by.
Stated waits, used-up quotas and rejections last as long as they say.
"""

from __future__ import annotations

from dataclasses import dataclass

from freellmapi.core.clock import Clock
from freellmapi.core.errors import DAY, Bench, ErrorKind, Until, UpstreamError
from freellmapi.core.limits import next_midnight
from freellmapi.core.route import Candidate

LADDER = (0.0, 5.0, 10.0, 20.0, 30.0)
LOCAL_LIMIT = 5.0
MINUTE = 60.0
FOREVER = float("inf")


@dataclass(slots=True)
class BenchEntry:
    """Why a scope is not asked, and until when (epoch seconds)."""

    until: float
    kind: ErrorKind
    reason: str
    own: bool
    """Benched by our own judgement, not by a stated wait, a cap or a rejection."""
    strikes: int = 0
    on_trial: bool = False


def scope(bench: Bench, candidate: Candidate) -> str | None:
    """The name of what a bench covers for this candidate."""
    if bench is Bench.NOTHING:
        return None
    return candidate.scopes[bench]


class Cooldowns:
    """All benches of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, BenchEntry] = {}

    def blocking(self, candidate: Candidate, now: float) -> BenchEntry | None:
        """The bench that keeps the candidate out the longest, or None."""
        entries = self._entries
        if not entries:
            return None
        found: BenchEntry | None = None
        for name in candidate.scopes.values():
            entry = entries.get(name)
            if (
                entry is not None
                and (entry.until > now or entry.on_trial)
                and (found is None or entry.until > found.until)
            ):
                found = entry
        return found

    def begin(self, candidate: Candidate) -> None:
        """A call starts: scopes whose bench has just ended are on trial until it ends."""
        for name in candidate.scopes.values():
            entry = self._entries.get(name)
            if entry is not None and entry.own and entry.strikes > 1:
                entry.on_trial = True

    def succeeded(self, candidate: Candidate) -> None:
        """The candidate answered: every bench it stands under is lifted."""
        if self._entries:
            for name in candidate.scopes.values():
                self._entries.pop(name, None)

    def ended(self, candidate: Candidate) -> None:
        """The call ended without telling anything (the client left, a refused request)."""
        for name in candidate.scopes.values():
            entry = self._entries.get(name)
            if entry is not None:
                entry.on_trial = False

    def failed(self, candidate: Candidate, error: UpstreamError) -> BenchEntry | None:
        """Bench what the failure speaks for; the entry made, or None if nothing is benched."""
        self.ended(candidate)
        policy = error.policy
        bench = policy.bench if error.bench is None else error.bench
        name = scope(bench, candidate)
        if name is None:
            return None
        now = self._clock.now()
        before = self._entries.get(name)
        strikes = (before.strikes if before is not None else 0) + 1
        seconds, own = self._duration(candidate, error, strikes, now)
        reason = f"{error.kind.value}: {error.message}"
        entry = BenchEntry(now + seconds, error.kind, reason, own, strikes)
        self._entries[name] = entry
        return entry

    def clear(self, name: str, kind: ErrorKind) -> None:
        """Lift a bench of this name if it was for this kind of failure."""
        entry = self._entries.get(name)
        if entry is not None and entry.kind is kind:
            del self._entries[name]

    def entries(self) -> dict[str, BenchEntry]:
        return dict(self._entries)

    def prune(self, older_than: float = 3600.0) -> None:
        """Forget benches that ended long ago, so that memory stays bounded."""
        limit = self._clock.now() - older_than
        for name in [n for n, e in self._entries.items() if e.until < limit]:
            del self._entries[name]

    def _duration(
        self, candidate: Candidate, error: UpstreamError, strikes: int, now: float
    ) -> tuple[float, bool]:
        """(seconds, whether that is our own judgement)."""
        until = error.policy.until
        if until is Until.CLEARED:
            return FOREVER, False
        if until is Until.RESET:
            reset = next_midnight(now, candidate.provider.reset_zone) - now
            # Per-day marks outweigh a short hint beside them; a longer one is believed.
            return max(reset, min(error.retry_after or 0.0, DAY)), False
        if error.retry_after is not None:
            return min(error.retry_after, DAY), False
        if until is Until.MINUTE:
            return MINUTE, False
        if until is Until.DAY:
            return DAY, False
        first_free = error.kind is not ErrorKind.STREAM_BROKEN
        step = strikes - 1 if first_free else strikes
        seconds = LADDER[min(step, len(LADDER) - 1)]
        return (min(seconds, LOCAL_LIMIT) if candidate.provider.local else seconds), True
