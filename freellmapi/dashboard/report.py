"""What the Analytics page shows, as values."""

from __future__ import annotations

from collections.abc import Mapping

from freellmapi.core.values import dataclass
from freellmapi.dashboard.periods import Range


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure now and in the period before; None when there was nothing to measure.

    ``change`` is a share of the value before (0.1: a tenth more); of figures that are shares
    themselves it is the difference (0.1: ten points more). None without anything before.
    """

    value: float | None
    before: float | None
    change: float | None


@dataclass(frozen=True, slots=True)
class Headline:
    """Tokens as counted or estimated; latencies in seconds, of answers only; ``success`` and
    ``fallback`` as shares of all requests; ``saved`` in US dollars at list price."""

    requests: Figure
    success: Figure
    tokens_in: Figure
    tokens_out: Figure
    latency_p50: Figure
    latency_p95: Figure
    first_token_p50: Figure
    fallback: Figure
    saved: Figure


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each step, oldest first; ``at`` is when it begins (epoch seconds).

    ``requests`` by who served ("" is nobody), ``errors`` by what clients got, ``faults`` by
    how single calls ended that were mostly made up for; biggest first, all steps filled.
    """

    at: tuple[float, ...]
    requests: Mapping[str, tuple[int, ...]]
    tokens_in: tuple[int, ...]
    tokens_out: tuple[int, ...]
    latency_p50: tuple[float | None, ...]
    latency_p95: tuple[float | None, ...]
    first_token_p50: tuple[float | None, ...]
    errors: Mapping[str, tuple[int, ...]]
    faults: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a breakdown. ``requests`` were served by it, ``attempts`` were made at it;
    None: not known of such a thing. ``note`` is a mask, or what became of it."""

    id: str
    name: str
    note: str
    provider: str
    requests: int
    failures: int
    fallbacks: int
    attempts: int | None
    failed_attempts: int | None
    tokens_in: int
    tokens_out: int
    latency_p50: float | None = None
    latency_p95: float | None = None
    first_token_p50: float | None = None
    saved: float | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """Where ``Headline.saved`` comes from. ``priced`` is the share of the tokens that were
    on the list, None without tokens; the others count as nothing."""

    source: str
    checked: str
    priced: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole page; ``orjson.dumps`` writes it as it stands, field by field.

    ``{"range": "7d", "zone": "Asia/Kolkata", "step_hours": 6, "until": 1790000000.0,
    "headline": {"requests": {"value", "before", "change"}, ...},
    "series": {"at": [...], "requests": {"groq": [...], "": [...]}, ...},
    "providers": [Line, ...], "models": [...], "keys": [...], "clients": [...],
    "saved": {"source", "checked", "priced"}}``

    A model's ``id`` is ``provider/model``, a key's its key id, a client's its token id. The
    lines of a table add up to the headline; the one with an empty id is nobody or none.
    """

    range: Range
    zone: str
    step_hours: int
    until: float
    headline: Headline
    series: Series
    providers: tuple[Line, ...]
    models: tuple[Line, ...]
    keys: tuple[Line, ...]
    clients: tuple[Line, ...]
    saved: Saved
