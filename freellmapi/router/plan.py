"""Which candidates may serve a request, in what order: decided before any I/O."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from freellmapi.core.catalog import GONE, Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind
from freellmapi.core.estimate import reserved_output
from freellmapi.core.route import Candidate, Gate, RoutePlan, Skipped
from freellmapi.router.calibration import Calibration
from freellmapi.router.cooldowns import BenchEntry, Cooldowns
from freellmapi.router.counter import NEVER
from freellmapi.router.filters import unfit
from freellmapi.router.ledger import Ledger
from freellmapi.router.line import Line
from freellmapi.router.resolve import Wanted
from freellmapi.router.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Picture:
    """The state that a plan reads and never changes."""

    snapshot: Snapshot
    cooldowns: Cooldowns
    ledger: Ledger
    clock: Clock
    windows: Mapping[str, int]
    """Model ref -> context window learned from refusals, in tokens."""
    line: Line = field(default_factory=Line)
    """Requests that came before, and wait for calls under way."""
    calibration: Calibration = field(default_factory=Calibration)
    """How each model counts tokens."""


def cost(chat: ChatRequest, model: Model, calibration: Calibration) -> int:
    """Tokens to hold for a call: the prompt as this model counts it, and its answer."""
    prompt = chat.prompt_tokens * calibration.factor(model.ref)
    return int(prompt) + calibration.expected_output(model, chat.max_tokens)


def roughly(chat: ChatRequest) -> int:
    """What a call costs before anything is known of the model."""
    return chat.prompt_tokens + reserved_output(chat.max_tokens)


def plan(chat: ChatRequest, wanted: Wanted, picture: Picture) -> RoutePlan:
    """Candidates best first, found lazily: each is judged when it is asked for.

    Models known to be closed are passed by; who was left out of them is found out when
    ``skipped`` is read. When nothing but our own benches is in the way, the candidate
    whose bench ends first is tried all the same.
    """
    judge = _Judge(chat, picture)
    return RoutePlan(judge.candidates(wanted.models), judge.skipped, judge.look_at_passed)


class _Judge:
    """Judges candidates for one request."""

    def __init__(self, chat: ChatRequest, picture: Picture) -> None:
        self.skipped: list[Skipped] = []
        self._chat = chat
        self._picture = picture
        self._tokens = roughly(chat)
        self._passed: list[Model] = []
        self._own_benches: list[tuple[float, Candidate]] = []

    def candidates(self, models: Sequence[Model]) -> Iterator[Candidate]:
        picture, tokens, any_drawn = self._picture, self._tokens, False
        closed = picture.ledger.closed
        closed.renew((picture.snapshot.version, picture.cooldowns.lifted))
        now = picture.clock.now()
        leading = closed.leading(models, tokens, now)
        self._passed.extend(models[:leading])
        for model in itertools.islice(models, leading, None):
            if closed.is_closed(model.ref, tokens, now):
                self._passed.append(model)
                continue
            for candidate in self._open(model):
                any_drawn = True
                yield candidate
            now = picture.clock.now()
        if any_drawn:
            return
        for candidate in self._open_after_all():
            any_drawn = True
            yield candidate
        if self._own_benches and not any_drawn:
            yield min(self._own_benches, key=lambda found: found[0])[1]

    def look_at_passed(self) -> None:
        """Say why nobody of the models that were passed by could be asked."""
        for _ in self._open_after_all():
            pass

    def _open_after_all(self) -> Iterator[Candidate]:
        while self._passed:
            yield from self._open(self._passed.pop(0))

    def _open(self, model: Model) -> Iterator[Candidate]:
        """The candidates of a model that can be asked; the others are skipped."""
        picture = self._picture
        window = picture.windows.get(model.ref, model.context)
        reason = unfit(self._chat, model, window)
        if reason is not None:
            self.skipped.append(Skipped(model.ref, "", Gate.CAPABILITY, reason))
            return
        candidates = picture.snapshot.candidates.get(model.ref, ())
        if not candidates:
            self.skipped.append(_unusable(model, picture.snapshot))
            return
        earliest = NEVER
        for candidate in by_headroom(candidates, picture):
            opens = self._opens_at(candidate)
            earliest = min(earliest, opens)
            if opens <= 0:
                yield candidate
        now = picture.clock.now()
        if earliest > now:
            names = {bucket.name for c in candidates for bucket in c.buckets}
            picture.ledger.closed.close(model.ref, self._tokens, earliest, names, now)

    def _opens_at(self, candidate: Candidate) -> float:
        """0 when it can be asked; else when that may change, and it is skipped."""
        picture = self._picture
        now = picture.clock.now()
        bench = picture.cooldowns.blocking(candidate, now)
        if bench is not None:
            self.skipped.append(_benched(candidate, bench))
            if bench.own:
                self._own_benches.append((bench.until, candidate))
            return bench.until
        tokens = cost(self._chat, candidate.model, picture.calibration)
        opens = picture.ledger.opens_at(candidate.buckets, tokens, now)
        if opens > now or not picture.line.is_free(candidate):
            self.skipped.append(capped(candidate, opens))
            return opens
        return 0.0


def capped(candidate: Candidate, opens_at: float) -> Skipped:
    """A candidate whose caps leave no room until then."""
    until, reason = (None, "its cap is 0") if opens_at == NEVER else (opens_at, "at its cap")
    return Skipped(
        candidate.ref, candidate.key_id, Gate.HEADROOM, reason, until, candidate=candidate
    )


def _unusable(model: Model, snapshot: Snapshot) -> Skipped:
    """A model that no key can be asked for."""
    why = snapshot.why_no_candidate(model)
    if model.status == GONE:
        return Skipped(model.ref, "", Gate.GONE, why)
    kind = ErrorKind.KEY_REJECTED if snapshot.is_rejected(model) else None
    return Skipped(model.ref, "", Gate.KEY, why, kind=kind)


def _benched(candidate: Candidate, bench: BenchEntry) -> Skipped:
    return Skipped(
        candidate.ref,
        candidate.key_id,
        Gate.BENCH,
        bench.reason,
        bench.until,
        bench.kind,
        candidate,
    )


def by_headroom(candidates: Sequence[Candidate], picture: Picture) -> Sequence[Candidate]:
    """Keys of one model, the one with most left first."""
    if len(candidates) < 2:
        return candidates
    now = picture.clock.now()
    return sorted(candidates, key=lambda c: picture.ledger.pressure(c.buckets, now))
