"""Why a request would be served by whom: every candidate in order, with each gate.

It judges with the same functions as ``plan`` and never changes anything, so that the first
candidate that a plan would draw is the one that is ``next`` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace

from freellmapi.core.catalog import GONE, Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.route import Candidate, Gate
from freellmapi.core.values import dataclass
from freellmapi.router import gates
from freellmapi.router.gates import Judged
from freellmapi.router.judge import Picture, by_headroom, cost
from freellmapi.router.measurements import Measurements
from freellmapi.router.plan import roughly
from freellmapi.router.preferences import Preference
from freellmapi.router.resolve import AUTO
from freellmapi.router.snapshot import LiveKey, Snapshot
from freellmapi.router.strategies import WEIGHTS, Score, Weights, scored

AT_ONCE = 16
"""Models judged between two pauses: about two milliseconds."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """How one name was understood, and how many models it means."""

    name: str
    kind: str
    """chain, strategy, model (of one provider), family, or id (a provider's own)."""
    models: int


@dataclass(frozen=True, slots=True)
class Place:
    """A model's place in the order, and its score where the strategy gives one."""

    model: str
    score: Score | None


@dataclass(frozen=True, slots=True)
class Considered:
    """One way to serve the request, and how it fares at each gate.

    A model that cannot serve it at all is one row for all its keys, without ``key``.
    """

    model: str
    provider: str
    key: str | None
    key_label: str
    passed: bool
    gates: tuple[Judged, ...]
    opens_at: float | None = None
    """From when it would pass if nothing else happened; None when that is no matter of time."""
    next: bool = False
    last_resort: bool = False
    """Benched by our own judgement, and tried all the same since nobody else is left."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Models of one provider that no key can be asked for, folded."""

    provider: str
    gate: Gate
    reason: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision for one request at ``at`` (epoch seconds), as far as it can be foreseen."""

    at: float
    model: str
    understood: tuple[Meaning, ...]
    named: bool
    """Whether the caller named the model, which is then waited for a little."""
    strategy: str
    weights: Weights | None
    """None where the strategy keeps the order of the chain."""
    sticky: str | None
    """The model that the conversation keeps."""
    needs: tuple[str, ...]
    prompt_tokens: int
    reserved_tokens: int
    next: Considered | None
    opens_at: float | None
    """When nobody can be asked: from when somebody can."""
    candidates: tuple[Considered, ...]
    left_out: tuple[LeftOut, ...]
    order: tuple[Place, ...]


def explain(
    chat: ChatRequest,
    preference: Preference,
    picture: Picture,
    measurements: Measurements,
    pause: Callable[[], None] = lambda: None,
) -> Explanation:
    """What would become of the request right now. Nothing is reserved, asked or counted.

    With hundreds of models that takes a while: ``pause`` lets others go on in between.
    """
    wanted, snapshot = preference.wanted, picture.snapshot
    now = picture.clock.now()
    rows = _Rows(chat, picture, now)
    for number, model in enumerate(wanted.models, 1):
        rows.add(model)
        if number % AT_ONCE == 0:
            pause()
    candidates = rows.with_next()
    following = next((c for c in candidates if c.next), None)
    opening = [c.opens_at for c in candidates if c.opens_at is not None]
    weights = WEIGHTS.get(wanted.strategy)
    return Explanation(
        at=now,
        model=chat.model,
        understood=tuple(_meaning(name, snapshot) for name in (chat.model, *chat.fallbacks)),
        named=wanted.named,
        strategy=wanted.strategy,
        weights=weights,
        sticky=wanted.models[0].ref if preference.stuck else None,
        needs=tuple(sorted(need.value for need in chat.needs)),
        prompt_tokens=chat.prompt_tokens,
        reserved_tokens=roughly(chat),
        next=following,
        opens_at=min(opening, default=None) if following is None else None,
        candidates=candidates,
        left_out=_folded(rows.left_out),
        order=tuple(
            Place(m.ref, _score(m, weights, measurements, picture, now)) for m in wanted.models
        ),
    )


@dataclass(slots=True)
class _Rows:
    """The rows as they come together, model by model."""

    chat: ChatRequest
    picture: Picture
    now: float
    found: list[Considered] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    own_benches: list[tuple[float, int]] = field(default_factory=list)
    """(Until, row) of those whom nothing but our own judgement benches."""

    def add(self, model: Model) -> None:
        snapshot = self.picture.snapshot
        candidates = snapshot.candidates.get(model.ref, ())
        if not candidates:
            gate = Gate.GONE if model.status == GONE else Gate.KEY
            reason = snapshot.why_no_candidate(model)
            self.left_out.append(LeftOut(model.provider, gate, reason, (model.ref,)))
            return
        able = gates.capability(self.chat, model, self.picture)
        if not able.passed:
            self.found.append(Considered(model.ref, model.provider, None, "", False, (able,)))
            return
        keys = {live.id: live for live in snapshot.keys.get(model.provider, ())}
        for candidate in by_headroom(candidates, self.picture):
            self._judge(candidate, able, keys.get(candidate.key_id))
        asked = {candidate.key_id for candidate in candidates}
        for live in keys.values():
            if live.id not in asked:
                row = (able, gates.key(live))
                self.found.append(_considered(model, live.id, live.label, row))

    def _judge(self, candidate: Candidate, able: Judged, live: LiveKey | None) -> None:
        tokens = cost(self.chat, candidate.model, self.picture.calibration)
        benched, entry = gates.bench(candidate, self.picture, self.now)
        room = gates.headroom(candidate, tokens, self.picture, self.now)
        if entry is not None and entry.own:
            self.own_benches.append((entry.until, len(self.found)))
        label = live.label if live is not None else ""
        row = (able, gates.key(live), benched, room)
        self.found.append(_considered(candidate.model, candidate.key_id, label, row))

    def with_next(self) -> tuple[Considered, ...]:
        """All rows, the one that would be asked first marked."""
        rows = self.found
        first = next((place for place, row in enumerate(rows) if row.passed), None)
        if first is not None:
            rows[first] = replace(rows[first], next=True)
        elif self.own_benches:
            _, place = min(self.own_benches, key=lambda bench: bench[0])
            rows[place] = replace(rows[place], next=True, last_resort=True)
        return tuple(rows)


def _considered(model: Model, key: str, label: str, judged: tuple[Judged, ...]) -> Considered:
    failed = [gate for gate in judged if not gate.passed]
    times = [gate.until for gate in failed if gate.until is not None]
    opens_at = max(times) if times and len(times) == len(failed) else None
    return Considered(model.ref, model.provider, key, label, not failed, judged, opens_at)


def _meaning(name: str, snapshot: Snapshot) -> Meaning:
    """As ``resolve`` reads the name, which knows it."""
    head, _, suffix = name.partition(":")
    catalog = snapshot.catalog
    if head == AUTO:
        return Meaning(name, "strategy" if suffix else "chain", len(snapshot.auto))
    if name in catalog.by_ref:
        return Meaning(name, "model", 1)
    if name in catalog.families:
        return Meaning(name, "family", len(catalog.families[name]))
    relatives = {m.ref for of in catalog.by_id.get(name, ()) for m in catalog.families[of.family]}
    return Meaning(name, "id", len(relatives))


def _score(
    model: Model,
    weights: Weights | None,
    measurements: Measurements,
    picture: Picture,
    now: float,
) -> Score | None:
    if weights is None:
        return None
    candidates = picture.snapshot.candidates.get(model.ref, ())
    pressed = min((picture.ledger.pressure(c.buckets, now) for c in candidates), default=1.0)
    return scored(model, measurements.of(model.ref), weights, pressed, now)


def _folded(left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple(_fold(left_out))


def _fold(left_out: Sequence[LeftOut]) -> Iterator[LeftOut]:
    """One entry for each provider and reason, in the order of their first models."""
    groups: dict[tuple[str, Gate, str], list[str]] = {}
    for one in left_out:
        groups.setdefault((one.provider, one.gate, one.reason), []).extend(one.models)
    for (provider, gate, reason), models in groups.items():
        yield LeftOut(provider, gate, reason, tuple(models))
