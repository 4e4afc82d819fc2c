"""Benches: what is not asked for a while, why, and how it comes back.

Failures of our own judging climb a ladder (none, 5, 10, 20, then 30 s) and come back
half-open: one live request tries the benched scope again while the others pass it by.
Stated waits, used-up quotas and rejections last as long as they say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from freellmapi.core.clock import Clock
from freellmapi.core.errors import DAY, Bench, ErrorKind, Until, UpstreamError
from freellmapi.core.limits import next_midnight
from freellmapi.core.route import Candidate
from freellmapi.core.values import dataclass
from freellmapi.router.counter import NEVER

LADDER = (0.0, 5.0, 10.0, 20.0, 30.0)
LOCAL_LIMIT = 5.0
MINUTE = 60.0


@dataclass(slots=True)
class BenchEntry:
    """Why a scope is not asked, and until when (epoch seconds)."""

    until: float
    kind: ErrorKind
    reason: str
    own: bool
    """Benched by our own judgement, not by a stated wait, a cap or a rejection."""
    strikes: int = 0
    """Failures in a row that climbed the ladder."""
    on_trial: bool = False
    stated: bool = False
    """Whether the provider itself said how long."""


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
        self.changed: set[str] = set()
        """Scopes whose bench began, changed, was tried or ended. Who plans by them clears it."""
        self.on_change: Callable[[str, BenchEntry | None], None] = lambda name, entry: None
        """Told of every bench that begins, changes or is lifted (None)."""

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
        for name, entry in self._named(candidate):
            if entry.own and entry.strikes > 1:
                self._try(name, entry, True)

    def answers(self, candidate: Candidate) -> None:
        """A streamed answer has begun: ask it again, but remember what it did before."""
        now = self._clock.now()
        for name, entry in self._named(candidate):
            self._try(name, entry, False)
            if entry.own and entry.until > now:
                entry.until = now
                self._tell(name, entry)

    def succeeded(self, candidate: Candidate) -> None:
        """The candidate answered: our own benches it stands under are lifted.

        A stated wait, a used-up quota or a rejection that another call met meanwhile stays.
        """
        if not self._entries:
            return
        now = self._clock.now()
        for name in candidate.scopes.values():
            entry = self._entries.get(name)
            if entry is not None and (entry.own or entry.until <= now):
                del self._entries[name]
                self._tell(name, None)

    def ended(self, candidate: Candidate) -> None:
        """The call ended without telling anything (the client left, a refused request)."""
        for name, entry in self._named(candidate):
            self._try(name, entry, False)

    def failed(self, candidate: Candidate, error: UpstreamError) -> BenchEntry | None:
        """Bench what the failure speaks for; the entry in force, or None if nothing is benched."""
        name = scope(error.policy.bench if error.bench is None else error.bench, candidate)
        before = self._entries.get(name) if name is not None else None
        now = self._clock.now()
        strikes = _strikes(before, error.kind, now)
        self.ended(candidate)
        if name is None:
            return None
        seconds, own = self._duration(candidate, error, strikes, now)
        if before is not None and not before.own and before.until > now + seconds:
            # A rejection or a longer stated wait is not undone by a call that was under way.
            return before
        if not own:
            strikes = before.strikes if before is not None else 0
        reason = f"{error.kind.words}: {error.message}"
        stated = not own and error.retry_after is not None and seconds < NEVER
        entry = BenchEntry(now + seconds, error.kind, reason, own, strikes, stated=stated)
        self._entries[name] = entry
        self._tell(name, entry)
        return entry

    def clear(self, name: str, kind: ErrorKind) -> None:
        """Lift a bench of this name if it was for this kind of failure."""
        entry = self._entries.get(name)
        if entry is not None and entry.kind is kind:
            del self._entries[name]
            self._tell(name, None)

    def take_over(self, name: str, entry: BenchEntry | None) -> None:
        """Bench as another worker has, or lift what it has lifted (None)."""
        before = self._entries.get(name)
        if entry is None:
            self._entries.pop(name, None)
        else:
            entry.on_trial = before is not None and before.on_trial
            self._entries[name] = entry
        self.changed.add(name)

    def _tell(self, name: str, entry: BenchEntry | None) -> None:
        self.changed.add(name)
        self.on_change(name, entry)

    def entries(self) -> dict[str, BenchEntry]:
        return dict(self._entries)

    def prune(self, older_than: float = 3600.0) -> None:
        """Forget benches that ended long ago, so that memory stays bounded."""
        limit = self._clock.now() - older_than
        for name in [n for n, e in self._entries.items() if e.until < limit]:
            del self._entries[name]

    def _try(self, name: str, entry: BenchEntry, on_trial: bool) -> None:
        if entry.on_trial is not on_trial:
            entry.on_trial = on_trial
            self.changed.add(name)

    def _named(self, candidate: Candidate) -> Iterator[tuple[str, BenchEntry]]:
        """The benches that the candidate stands or stood under, by the names of their scopes."""
        for name in candidate.scopes.values() if self._entries else ():
            entry = self._entries.get(name)
            if entry is not None:
                yield name, entry

    def _duration(
        self, candidate: Candidate, error: UpstreamError, strikes: int, now: float
    ) -> tuple[float, bool]:
        """(seconds, whether that is our own judgement)."""
        until = error.policy.until
        if until is Until.CLEARED:
            return NEVER, False
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
        seconds = LADDER[min(strikes, len(LADDER)) - 1]
        return (min(seconds, LOCAL_LIMIT) if candidate.provider.local else seconds), True


def _strikes(before: BenchEntry | None, kind: ErrorKind, now: float) -> int:
    """Where on the ladder this failure is; a stream that died has no free first.

    Calls that were under way when the bench began add nothing: ten of them that fail
    together are one bad moment.
    """
    strikes = before.strikes if before is not None else 0
    if before is None or not before.own or before.until <= now or before.on_trial:
        strikes += 1
    return max(strikes, 2) if kind is ErrorKind.STREAM_BROKEN else strikes
