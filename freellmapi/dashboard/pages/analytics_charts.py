"""The charts of Analytics: the values that a script draws, and the same as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from freellmapi.core.catalog import Catalog
from freellmapi.core.errors import ErrorKind
from freellmapi.core.values import dataclass
from freellmapi.dashboard import filters
from freellmapi.dashboard.pages.analytics_asked import Asked
from freellmapi.dashboard.periods import Range
from freellmapi.dashboard.report import Overview, Series

MOST_COLUMNS = 9
"""More colours than these nobody tells apart; the rest are one column, "others"."""
NO_HUE = -1

Values = Sequence[float | int | None]


@dataclass(frozen=True, slots=True)
class Column:
    """One series, a value a step. ``hue`` is one of ``tokens.css``; ``whole`` is its sum or
    typical value."""

    name: str
    hue: int
    whole: str
    values: Values


@dataclass(frozen=True, slots=True)
class Chart:
    """``kind``: bars (stacked), lines, or band (from the first line to the second)."""

    id: str
    title: str
    kind: str
    unit: str
    columns: tuple[Column, ...]
    none: str
    """What is said when there is nothing to draw."""

    @property
    def is_empty(self) -> bool:
        return not any(any(column.values) for column in self.columns)

    @property
    def data(self) -> Sequence[Mapping[str, object]]:
        """For the script, which makes the table of it as well when it is opened."""
        return [
            {"name": column.name, "hue": column.hue, "values": _short(column.values)}
            for column in self.columns
        ]

    def rows(self, whens: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
        """The table: when each step was, and the words for its values."""
        say = _FORMATS[self.unit]
        for when, *values in zip(whens, *(c.values for c in self.columns), strict=True):
            yield when, ["–" if value is None else say(value) for value in values]


@dataclass(frozen=True, slots=True)
class Axis:
    """Of all the charts: each step's time in full, and its word at the axis, often none."""

    whens: tuple[str, ...]
    ticks: tuple[str, ...]


_FORMATS: Mapping[str, Callable[[float], str]] = {
    "count": filters.count,
    "tokens": filters.tokens,
    "seconds": filters.seconds,
}
_HUES_OF_KINDS = (2, 4, 1, 0, 10, 3, 8, 7, 5, 9, 6, 11)
_KIND_HUES = {kind.value: hue for kind, hue in zip(ErrorKind, _HUES_OF_KINDS, strict=False)}


def axis(series: Series, asked: Asked) -> Axis:
    found = [times(asked.local(at), asked.range, i) for i, at in enumerate(series.at)]
    return Axis(tuple(when for when, _ in found), tuple(tick for _, tick in found))


def charts(shown: Overview, catalog: Catalog) -> tuple[Chart, ...]:
    """All of them, in the order of the page."""
    series, head = shown.series, shown.headline
    names = {id: provider.name for id, provider in catalog.providers.items()}
    return (
        _bars("requests", "Requests by provider", series.requests, "No requests.", names),
        _lines(
            ("tokens", "Tokens", "lines", "tokens", "No tokens were counted."),
            ("in", 8, series.tokens_in, head.tokens_in.value),
            ("out", 11, series.tokens_out, head.tokens_out.value),
        ),
        _lines(
            ("latency", "Latency", "band", "seconds", "Nothing was answered."),
            ("p50", 7, series.latency_p50, head.latency_p50.value),
            ("p95", 7, series.latency_p95, head.latency_p95.value),
        ),
        _lines(
            ("first", "Time to first token", "lines", "seconds", "Nothing was streamed."),
            ("p50", 9, series.first_token_p50, head.first_token_p50.value),
        ),
        _bars("errors", "Errors that clients got", series.errors, "No request failed."),
        _bars("faults", "Failed calls by kind", series.faults, "No call failed."),
    )


def _bars(
    id: str,
    title: str,
    values: Mapping[str, Sequence[int]],
    none: str,
    names: Mapping[str, str] | None = None,
) -> Chart:
    """A column for each name, by provider with ``names`` and by kind of error without."""
    columns = list(values.items())
    if len(columns) > MOST_COLUMNS:
        rest = [row for _, row in columns[MOST_COLUMNS - 1 :]]
        others = [sum(at) for at in zip(*rest, strict=True)]
        columns = [*columns[: MOST_COLUMNS - 1], ("others", others)]
    heads = tuple(
        Column(_word(name, names), _hue(name, names), filters.tokens(sum(row)), row)
        for name, row in columns
    )
    return Chart(id, title, "bars", "count", heads, none)


def _lines(
    about: tuple[str, str, str, str, str],
    *columns: tuple[str, int, Values, float | None],
) -> Chart:
    id, title, kind, unit, none = about
    heads = tuple(
        Column(name, hue, "" if whole is None else _FORMATS[unit](whole), values)
        for name, hue, values, whole in columns
    )
    return Chart(id, title, kind, unit, heads, none)


def _short(values: Values) -> list[float | int | None]:
    """A tenth of a millisecond is more than is seen."""
    return [round(value, 4) if isinstance(value, float) else value for value in values]


def times(at: datetime, over: Range, i: int) -> tuple[str, str]:
    """A step's time in full and at the axis: some six words, however many steps there are."""
    if over is Range.DAY:
        return f"{at:%a %H:%M}", f"{at:%H:%M}" if i % 4 == 3 else ""
    if over is Range.WEEK:
        return f"{at:%a} {at.day} {at:%b %H:%M}", f"{at:%a} {at.day}" if at.hour == 0 else ""
    every = 5 if over is Range.MONTH else 15
    return f"{at:%a} {at.day} {at:%b}", f"{at.day} {at:%b}" if i % every == every - 1 else ""


def _word(name: str, names: Mapping[str, str] | None) -> str:
    if names is not None:
        return names.get(name, name) or "not served"
    return name.replace("_", " ")


def _hue(name: str, names: Mapping[str, str] | None) -> int:
    if names is None:
        return _KIND_HUES.get(name, NO_HUE)
    return NO_HUE if name in ("", "others") else filters.hue(name)
