"""The tables of the Analytics page: who served what, by provider, model, key and client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import attrgetter
from typing import TypeVar

from freellmapi.core.catalog import Catalog
from freellmapi.dashboard.names import Names
from freellmapi.dashboard.prices import Costs
from freellmapi.dashboard.report import Line
from freellmapi.storage.histogram import percentiles
from freellmapi.storage.rollups import Latencies, Tally, Totals

Key = TypeVar("Key")

_COUNTS = attrgetter(
    *("requests", "failures", "fallbacks", "attempts", "failed_attempts"),
    *("prompt_tokens", "completion_tokens"),
)
"""What a line counts, in its order."""

ByModel = Mapping[tuple[str, str], Latencies]


def providers(
    totals: Iterable[Totals], by_model: ByModel, catalog: Catalog, costs: Costs
) -> tuple[Line, ...]:
    """The busiest first; nobody has an empty id."""
    paces: dict[str, Latencies] = {}
    for (id, _), pace in by_model.items():
        paces[id] = paces.get(id, Latencies()) + pace
    found = []
    for id, of in _grouped(totals, lambda t: t.provider).items():
        known = catalog.providers.get(id)
        line = _line(id, known.name if known else id, "", id, of, costs)
        found.append(_timed(line, paces.get(id)))
    return _sorted(found)


def models(
    totals: Iterable[Totals], by_model: ByModel, costs: Costs, most_timed: int | None = None
) -> tuple[Line, ...]:
    """By ``provider/model``. The latencies of so many, the busiest; of all by default."""
    found = []
    for (provider, model), of in _grouped(totals, lambda t: (t.provider, t.model)).items():
        id = f"{provider}/{model}" if model else ""
        found.append(_line(id, model, "", provider, of, costs))
    lines = _sorted(found)
    timed = (_timed(at, by_model.get((at.provider, at.name))) for at in lines)
    return (*islice(timed, most_timed), *(() if most_timed is None else lines[most_timed:]))


def keys(totals: Iterable[Totals], names: Names, costs: Costs) -> tuple[Line, ...]:
    """By provider and key; providers without keys have a line each as well."""
    found = []
    for (provider, id), of in _grouped(totals, lambda t: (t.provider, t.key_id)).items():
        name, note = names.key(id) if provider else ("", "")
        found.append(_line(id, name, note, provider, of, costs))
    return _sorted(found)


def clients(tallies: Iterable[Tally], names: Names) -> tuple[Line, ...]:
    """By client token."""
    found = []
    for tally in tallies:
        name, note = names.client(tally.name)
        found.append(
            Line(
                *(tally.name, name, note, ""),
                *(tally.requests, tally.failures, tally.fallbacks),
                attempts=None,
                failed_attempts=None,
                tokens_in=tally.prompt_tokens,
                tokens_out=tally.completion_tokens,
            )
        )
    return _sorted(found)


def _grouped(totals: Iterable[Totals], by: Callable[[Totals], Key]) -> dict[Key, list[Totals]]:
    found: dict[Key, list[Totals]] = {}
    for total in totals:
        found.setdefault(by(total), []).append(total)
    return found


def _line(id: str, name: str, note: str, provider: str, of: Sequence[Totals], costs: Costs) -> Line:
    # By columns: a page has hundreds of lines, and each of them some sums.
    counts = map(sum, zip(*map(_COUNTS, of), strict=True))
    return Line(id, name, note, provider, *counts, saved=costs.of(of))  # type: ignore[misc]


def _timed(line: Line, pace: Latencies | None) -> Line:
    if pace is None:
        return line
    p50, p95 = percentiles(pace.durations, 50, 95)
    (first,) = percentiles(pace.first_tokens, 50)
    return replace(line, latency_p50=p50, latency_p95=p95, first_token_p50=first)


def _sorted(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda line: (-line.requests, line.provider, line.id)))
