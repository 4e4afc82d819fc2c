"""Which candidates may serve a request, in what order: decided before any I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from freellmapi.core.catalog import GONE, Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind
from freellmapi.core.estimate import reserved_output
from freellmapi.core.route import Candidate, Gate, RoutePlan, Skipped
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


def tokens_to_reserve(chat: ChatRequest) -> int:
    """What a call may cost: the prompt and the output it asks for."""
    return chat.prompt_tokens + reserved_output(chat.max_tokens)


def plan(chat: ChatRequest, wanted: Wanted, picture: Picture) -> RoutePlan:
    """Candidates best first, found lazily: each is judged when it is asked for.

    ``skipped`` fills as the candidates are drawn. When nothing but our own benches is in
    the way, the candidate whose bench ends first is tried all the same.
    """
    skipped: list[Skipped] = []
    return RoutePlan(_candidates(chat, wanted, picture, skipped), skipped)


def _candidates(
    chat: ChatRequest, wanted: Wanted, picture: Picture, skipped: list[Skipped]
) -> Iterator[Candidate]:
    tokens = tokens_to_reserve(chat)
    own_benches: list[tuple[float, Candidate]] = []
    any_drawn = False
    for model in wanted.models:
        window = picture.windows.get(model.ref, model.context)
        reason = unfit(chat, model, window)
        if reason is not None:
            skipped.append(Skipped(model.ref, "", Gate.CAPABILITY, reason))
            continue
        candidates = picture.snapshot.candidates.get(model.ref, ())
        if not candidates:
            skipped.append(_unusable(model, picture.snapshot))
        for candidate in by_headroom(candidates, picture):
            now = picture.clock.now()
            bench = picture.cooldowns.blocking(candidate, now)
            if bench is not None:
                skipped.append(_benched(candidate, bench))
                if bench.own:
                    own_benches.append((bench.until, candidate))
                continue
            opens = picture.ledger.opens_at(candidate.buckets, tokens, now)
            if opens > now or not picture.line.is_free(candidate):
                skipped.append(capped(candidate, opens))
                continue
            any_drawn = True
            yield candidate
    if own_benches and not any_drawn:
        yield min(own_benches, key=lambda found: found[0])[1]


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
