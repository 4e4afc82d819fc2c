"""The rows of the page Chain: each model with what is left, what was measured, and its state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from freellmapi.api.schema import chat_request
from freellmapi.core.catalog import GONE, Model
from freellmapi.core.errors import ErrorKind
from freellmapi.core.route import Gate
from freellmapi.core.values import dataclass
from freellmapi.dashboard.pages.chain_left import Left, left_of
from freellmapi.router.explain import Considered, Explanation
from freellmapi.router.gates import Judged
from freellmapi.router.gateway import BREATH, Gateway
from freellmapi.router.settings import STRATEGIES
from freellmapi.router.snapshot import Snapshot

AUTO = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
LEAST_CALLS = 0.5
"""Below so many calls that it stands for, a measured value is as good as forgotten."""
KEPT = 1.0
"""Seconds for which a reading is shown again."""
KEPT_FOR_TABS = 5.0
"""The same for open tabs, which ask every second whether anything is new."""

_BENCHED: Mapping[ErrorKind, tuple[str, str]] = MappingProxyType(
    {
        ErrorKind.RATE_LIMITED: ("limited", "rate limited"),
        ErrorKind.DAILY_QUOTA: ("limited", "daily quota"),
        ErrorKind.OUT_OF_CREDIT: ("invalid", "out of credit"),
        ErrorKind.KEY_REJECTED: ("invalid", "key rejected"),
        ErrorKind.MODEL_FORBIDDEN: ("invalid", "not for this key"),
        ErrorKind.MODEL_GONE: ("invalid", "gone"),
        ErrorKind.SERVER_ERROR: ("error", "server error"),
        ErrorKind.BAD_ANSWER: ("error", "bad answer"),
        ErrorKind.TIMEOUT: ("error", "too slow"),
        ErrorKind.UNREACHABLE: ("error", "unreachable"),
        ErrorKind.STREAM_BROKEN: ("error", "stream broke"),
    }
)
_CAPS = {"rpm": "minute cap", "tpm": "minute cap", "rpd": "daily cap", "tpd": "daily cap"}


@dataclass(frozen=True, slots=True)
class State:
    """Whether the model would be asked now; ``until`` (epoch seconds) is when it opens."""

    kind: str
    word: str
    why: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One model in the chain. ``place`` counts the models that are asked, the first is 1."""

    model: Model
    provider: str
    place: int | None
    enabled: bool
    next: bool
    state: State
    left: Left | None
    speed: float | None
    """Output tokens a second, as measured."""
    success: float | None


@dataclass(frozen=True, slots=True)
class Board:
    """The whole page at one moment."""

    version: str
    """Another one after each change of order, switches or strategy."""
    state: str
    """Another one when anything else that is shown has changed."""
    strategy: str
    strategies: tuple[str, ...]
    rows: tuple[Row, ...]
    """Those that are on and have a key, in the order in which they are asked."""
    folded: tuple[Row, ...]
    """The others, which are off, gone or without a key."""
    quickest: float
    """Tokens a second of the fastest row, at least 1: what the bars are measured against."""

    @property
    def folded_said(self) -> str:
        """``43 more are not asked: 1 off, 42 without a key that works``."""
        off = sum(not row.enabled for row in self.folded)
        keyless = len(self.folded) - off
        parts = [f"{off} off"] if off else []
        parts += [f"{keyless} without a key that works"] if keyless else []
        return f"{len(self.folded)} more are not asked: {', '.join(parts)}"


def version_of(snapshot: Snapshot) -> str:
    """What two tabs compare: the order, the switches and the strategy."""
    said = [f"{entry.model.ref} {entry.enabled}" for entry in snapshot.chain]
    text = "\n".join([snapshot.settings.strategy, *said])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Boards:
    """The page's values, not read again while they are fresh."""

    def __init__(self) -> None:
        self._last: tuple[float, int, Board] | None = None

    def read(self, gateway: Gateway, kept: float = KEPT) -> Board:
        """The values, at most ``kept`` seconds old; never of an older configuration."""
        now, version = gateway.tools.clock.now(), gateway.configuration.snapshot.version
        last = self._last
        if last is None or last[1] != version or not 0 <= now - last[0] < kept:
            last = self._last = (now, version, board(gateway))
        return last[2]


def board(gateway: Gateway) -> Board:
    """The chain as an ordinary ``auto`` request would find it now. Changes nothing."""
    snapshot = gateway.configuration.snapshot
    found = gateway.explain(chat_request(AUTO))
    gateway.tools.clock.sleep(BREATH)
    considered: dict[str, list[Considered]] = {}
    for candidate in found.candidates:
        considered.setdefault(candidate.model, []).append(candidate)
    reasons = {ref: out.reason for out in found.left_out for ref in out.models}
    reading = _Reading(snapshot, gateway, found, considered, reasons)
    refs = [place.model for place in found.order]
    shown = [ref for ref in refs if ref in considered]
    rows = tuple(reading.row(ref, place) for place, ref in enumerate(shown, 1))
    taken = set(shown)
    rest = (e.model.ref for e in snapshot.chain if e.model.ref not in taken)
    folded = tuple(reading.row(ref, None) for ref in rest)
    return Board(
        version=version_of(snapshot),
        state=_digest(rows),
        strategy=found.strategy,
        strategies=STRATEGIES,
        rows=rows,
        folded=folded,
        quickest=max((row.speed or 0.0 for row in rows), default=0.0) or 1.0,
    )


def _digest(rows: Iterable[Row]) -> str:
    said = [
        (r.model.ref, r.next, r.state.word, r.left and r.left.said, r.success, r.speed)
        for r in rows
    ]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


class _Reading:
    """Makes the rows from one explanation."""

    def __init__(
        self,
        snapshot: Snapshot,
        gateway: Gateway,
        found: Explanation,
        considered: Mapping[str, Sequence[Considered]],
        reasons: Mapping[str, str],
    ) -> None:
        self._snapshot = snapshot
        self._measurements = gateway.preferences.measurements
        self._now = found.at
        self._considered = considered
        self._reasons = reasons
        self._enabled = {entry.model.ref: entry.enabled for entry in snapshot.chain}

    def row(self, ref: str, place: int | None) -> Row:
        model = self._snapshot.catalog.by_ref[ref]
        provider = self._snapshot.catalog.providers[model.provider]
        found = self._considered.get(ref, ())
        measured = self._measurements.of(ref)
        share = measured.share(self._now)
        return Row(
            model=model,
            provider=provider.name,
            place=place,
            enabled=self._enabled[ref],
            next=any(one.next for one in found),
            state=state_of(found) if found else self._folded_state(model),
            left=left_of(found, one_pool=provider.pool == "ip"),
            speed=_known(measured.speed.value, measured.speed.weight * share),
            success=_known(measured.success.value, measured.success.weight * share),
        )

    def _folded_state(self, model: Model) -> State:
        if model.status == GONE:
            return State("off", "gone", self._snapshot.why_no_candidate(model))
        if not self._enabled[model.ref]:
            return State("off", "off", "Switched off: asked only when a request names it.")
        reason = self._reasons.get(model.ref, "no key")
        has_key = bool(self._snapshot.keys.get(model.provider))
        return State("off", "key not usable" if has_key else "no key", _sentence(reason))


def state_of(found: Sequence[Considered]) -> State:
    """The model's state: that of its best key."""
    passing = next((one for one in found if one.passed or one.next), None)
    if passing is not None:
        why = "; ".join(gate.reason for gate in passing.gates if gate.reason)
        if passing.last_resort:
            return State("limited", "next up", f"Nobody else is left. {_sentence(why)}")
        kind, word = ("healthy", "next up") if passing.next else ("ready", "ready")
        return State(kind, word, _sentence(why))
    best = min(found, key=lambda one: one.opens_at if one.opens_at is not None else float("inf"))
    failed = next(gate for gate in best.gates if not gate.passed)
    kind, word = _words(failed)
    return State(kind, word, _sentence(failed.reason), best.opens_at)


def _words(failed: Judged) -> tuple[str, str]:
    if failed.gate is Gate.BENCH and failed.kind is not None:
        return _BENCHED.get(failed.kind, ("error", "benched"))
    if failed.gate is Gate.HEADROOM:
        full = [w for w in failed.windows if w.left <= 0]
        longest = max(full or failed.windows, key=lambda w: w.resets_at, default=None)
        return "limited", _CAPS.get(longest.window, "monthly cap") if longest else "at its cap"
    if failed.gate is Gate.CAPABILITY:
        return "off", "cannot do this"
    return "invalid", "key not usable"


def _known(value: float, calls: float) -> float | None:
    return value if calls >= LEAST_CALLS else None


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
