"""The figures of the Analytics page, from the hourly and daily sums alone.

Everything is of one period, so that headline, series and tables agree to the last request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from freellmapi.core.catalog import Catalog
from freellmapi.dashboard import breakdown, periods
from freellmapi.dashboard.periods import Range
from freellmapi.dashboard.prices import Costs, price_list
from freellmapi.dashboard.queries import names
from freellmapi.dashboard.reading import Finished, Stepped, Whole, stepped, whole
from freellmapi.dashboard.report import Figure, Headline, Overview, Series
from freellmapi.storage.histogram import percentiles
from freellmapi.storage.rollups import Latencies, Sums, Totals


def overview(
    sums: Sums,
    catalog: Catalog,
    over: Range,
    zone: str,
    now: float,
    finished: Finished | None = None,
    most_timed: int | None = None,
) -> Overview:
    """All of it, from sums read up to now. ``periods.UnknownZone`` for a zone that is none.

    Blocks for some ten milliseconds, the first time of a quarter for some hundred: call it
    off the hub. ``finished`` is what an earlier call has read. ``most_timed``: the latencies of
    that many models are told, of the busiest; of all by default.
    """
    finished = finished or Finished()
    place = periods.zone_of(zone)
    steps = periods.steps(over, place, now)
    read = stepped(sums, [step.hours for step in steps], finished)
    before = whole(sums, periods.before(over, place, now), finished)
    named = names(sums.connection)
    totals = tuple(read.totals.values())
    part = Whole(totals, sum(read.paces, Latencies()))
    by_model = read.by_model
    costs = Costs(catalog, price_list())
    return Overview(
        range=over,
        zone=zone,
        step_hours=over.step_hours,
        until=now,
        headline=_headline(part, before, costs),
        series=_series(read, [step.at for step in steps]),
        providers=breakdown.providers(totals, by_model, catalog, costs),
        models=breakdown.models(totals, by_model, costs, most_timed),
        keys=breakdown.keys(totals, named, costs),
        clients=breakdown.clients(read.clients.values(), named),
        saved=costs.saved(totals),
    )


def _headline(part: Whole, before: Whole, costs: Costs) -> Headline:
    def quantity(of: Callable[[Totals], int]) -> Figure:
        return _relative(sum(map(of, part.totals)), sum(map(of, before.totals)))

    def share(of: Callable[[Totals], int]) -> Figure:
        return _points(_share(part.totals, of), _share(before.totals, of))

    def latency(packed: Callable[[Latencies], int], p: float) -> Figure:
        return _relative(_percentile(packed(part.pace), p), _percentile(packed(before.pace), p))

    return Headline(
        requests=quantity(lambda t: t.requests),
        success=share(lambda t: t.requests - t.failures),
        tokens_in=quantity(lambda t: t.prompt_tokens),
        tokens_out=quantity(lambda t: t.completion_tokens),
        latency_p50=latency(lambda pace: pace.durations, 50),
        latency_p95=latency(lambda pace: pace.durations, 95),
        first_token_p50=latency(lambda pace: pace.first_tokens, 50),
        fallback=share(lambda t: t.fallbacks),
        saved=_relative(costs.of(part.totals), costs.of(before.totals)),
    )


def _series(read: Stepped, steps: Sequence[float]) -> Series:
    tallies, failed = read.tallies.values(), read.failed.values()
    durations = [percentiles(pace.durations, 50, 95) for pace in read.paces]
    return Series(
        at=tuple(steps),
        requests=_by_name(((t.name, t.step, t.requests) for t in tallies), len(steps)),
        tokens_in=_by_step(((t.step, t.prompt_tokens) for t in tallies), len(steps)),
        tokens_out=_by_step(((t.step, t.completion_tokens) for t in tallies), len(steps)),
        latency_p50=tuple(p50 for p50, _ in durations),
        latency_p95=tuple(p95 for _, p95 in durations),
        first_token_p50=tuple(_percentile(pace.first_tokens, 50) for pace in read.paces),
        errors=_by_name(((f.kind, f.step, f.n) for f in failed if f.whole), len(steps)),
        faults=_by_name(((f.kind, f.step, f.n) for f in failed if not f.whole), len(steps)),
    )


def _by_step(counts: Iterable[tuple[int, int]], steps: int) -> tuple[int, ...]:
    row = [0] * steps
    for step, n in counts:
        row[step] += n
    return tuple(row)


def _by_name(counts: Iterable[tuple[str, int, int]], steps: int) -> Mapping[str, tuple[int, ...]]:
    """A row of counts for each name, the biggest first."""
    rows: dict[str, list[int]] = {}
    for name, step, n in counts:
        rows.setdefault(name, [0] * steps)[step] += n
    return {name: tuple(row) for name, row in sorted(rows.items(), key=lambda r: -sum(r[1]))}


def _percentile(packed: int, p: float) -> float | None:
    return percentiles(packed, p)[0]


def _share(totals: Iterable[Totals], of: Callable[[Totals], int]) -> float | None:
    whole = some = 0
    for total in totals:
        whole += total.requests
        some += of(total)
    return some / whole if whole else None


def _relative(value: float | None, before: float | None) -> Figure:
    change = (value - before) / before if before and value is not None else None
    return Figure(value, before, change)


def _points(value: float | None, before: float | None) -> Figure:
    change = value - before if value is not None and before is not None else None
    return Figure(value, before, change)
