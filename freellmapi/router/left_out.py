"""Who was left out, summed up: a refusal needs a few examples and the soonest of each kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace

from freellmapi.core.catalog import GONE, Model
from freellmapi.core.errors import ErrorKind
from freellmapi.core.route import Candidate, Gate, Skipped
from freellmapi.core.values import dataclass
from freellmapi.router.cooldowns import BenchEntry
from freellmapi.router.counter import NEVER
from freellmapi.router.snapshot import Snapshot

SHOWN = 6
"""Models named in a message before it says how many more there were."""


@dataclass(slots=True)
class LeftOut:
    """Any number of candidates, by what a decision or a message about them can depend on.

    Of those that are alike only the first to open is kept, so that thousands are summed up
    in a handful.
    """

    models: int = 0
    _kept: dict[object, tuple[int, Skipped]] = field(default_factory=dict)
    """Each with its place among all."""
    _count: int = 0

    def add(self, of_model: Iterable[Skipped]) -> None:
        """The candidates of one model that was left out altogether."""
        kept, place = self._kept, self._count
        for skipped in of_model:
            if place == self._count and self.models < SHOWN:
                kept[self.models] = (place, skipped)
            until = skipped.until
            alike = (skipped.gate, skipped.kind, until is None, skipped.own)
            soonest = kept.get(alike)
            if soonest is None or (until is not None and until < (soonest[1].until or 0.0)):
                kept[alike] = (place, skipped)
            place += 1
        self.models, self._count = self.models + 1, place

    def entries(self) -> list[Skipped]:
        """Those who stand for all, in order; the last says how many models are not among them."""
        entries = [skipped for _, skipped in sorted(dict(self._kept.values()).items())]
        others = self.models - len({s.ref for s in entries})
        if others:
            entries[-1] = replace(entries[-1], others=others)
        return entries


def summed_up(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    """The candidates of one model, without those for whom another one stands."""
    found = LeftOut()
    found.add(skipped)
    return tuple(found.entries())


def capped(candidate: Candidate, opens_at: float) -> Skipped:
    """A candidate whose caps leave no room until then."""
    until, reason = (None, "its cap is 0") if opens_at == NEVER else (opens_at, "at its cap")
    return Skipped(
        candidate.ref, candidate.key_id, Gate.HEADROOM, reason, until, candidate=candidate
    )


def unable(model: Model, reason: str) -> Skipped:
    """A model that cannot serve the request whatever its headroom."""
    return Skipped(model.ref, "", Gate.CAPABILITY, reason)


def unusable(model: Model, snapshot: Snapshot) -> Skipped:
    """A model that no key can be asked for."""
    why = snapshot.why_no_candidate(model)
    if model.status == GONE:
        return Skipped(model.ref, "", Gate.GONE, why)
    kind = ErrorKind.KEY_REJECTED if snapshot.is_rejected(model) else None
    return Skipped(model.ref, "", Gate.KEY, why, kind=kind)


def benched(candidate: Candidate, bench: BenchEntry) -> Skipped:
    return Skipped(
        candidate.ref,
        candidate.key_id,
        Gate.BENCH,
        bench.reason,
        bench.until,
        bench.kind,
        candidate,
        bench.own,
    )
