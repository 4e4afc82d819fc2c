"""Adds rows of the request log to the sums, inside the transaction that logs them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from freellmapi.core.route import Attempt
from freellmapi.storage import bulk, histogram, tables
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.writer import Writer

HOUR = 3_600
DAY = 86_400

COUNTERS = (
    "requests",
    "failures",
    "fallbacks",
    "attempts",
    "failed_attempts",
    "prompt_tokens",
    "completion_tokens",
    "duration",
)
COUNTED = ("counted", "counted_tokens")
TALLIED = ("requests", "failures", "fallbacks", "prompt_tokens", "completion_tokens")
_HISTOGRAMS = ("durations", "first_tokens")

_Group = tuple[int, int, str, str, str]
"""Span, start, provider, model, key id."""
_Sums = tuple[int, int, int, int, int, int, int, float, int, int]
_Name = tuple[str, int, int, str]
"""Dimension, span, start, name."""
_Tally = tuple[int, int, int, int, int]
_Latency = tuple[str, int, int, str, str]
"""Scope, span, start, provider, model."""


def record(writer: Writer, rows: Sequence[LoggedRequest]) -> None:
    """Hours, days and latencies, each in as few statements as one row would need."""
    sums: dict[_Group, _Sums] = {}
    tallies: dict[_Name, _Tally] = {}
    for row in rows:
        hour = hour_of(row.at)
        # Attempts count for the hour of their request, so that an hour's are those of its own.
        for span, start in ((HOUR, hour), (DAY, hour - hour % DAY)):
            _add_request(sums, span, start, row)
            for attempt in row.attempts:
                _add_attempt(sums, span, start, attempt)
        _tally(tallies, hour, row)
    bulk.count(writer, tables.rollups, [(*k, *v) for k, v in sums.items()], (*COUNTERS, *COUNTED))
    bulk.count(writer, tables.tallies, [(*k, *v) for k, v in tallies.items()], TALLIED)
    _add_latencies(writer, rows)


def hour_of(at: float) -> int:
    """The epoch second in which the hour began."""
    return int(at // HOUR) * HOUR


def _add_request(sums: dict[_Group, _Sums], span: int, start: int, row: LoggedRequest) -> None:
    group = (span, start, row.provider or "", row.served_model or "", row.key_id or "")
    request = (1, int(row.failed), int(len(row.attempts) > 1))
    tokens = (row.prompt_tokens, row.completion_tokens)
    _add(sums, group, (*request, 0, 0, *tokens, row.duration, 0, 0))


def _add_attempt(sums: dict[_Group, _Sums], span: int, start: int, attempt: Attempt) -> None:
    group = (span, start, attempt.provider, attempt.model, attempt.key_id)
    tokens = attempt.usage.total if attempt.spent and attempt.usage else 0
    _add(sums, group, (0, 0, 0, 1, int(attempt.failed), 0, 0, 0.0, int(attempt.spent), tokens))


def _tally(tallies: dict[_Name, _Tally], hour: int, row: LoggedRequest) -> None:
    request = (1, int(row.failed), int(len(row.attempts) > 1))
    more = (*request, row.prompt_tokens, row.completion_tokens)
    client = str(row.token_id or "")
    _add_tally(tallies, ("provider", HOUR, hour, row.provider or ""), more)
    _add_tally(tallies, ("client", HOUR, hour, client), more)
    _add_tally(tallies, ("client", DAY, hour - hour % DAY, client), more)
    if row.failed:
        kind = row.error or f"http_{row.status}"
        _add_tally(tallies, ("error", HOUR, hour, kind), (1, 1, 0, 0, 0))
    for attempt in row.attempts:
        if attempt.error is not None and attempt.failed:
            _add_tally(tallies, ("fault", HOUR, hour, attempt.error.value), (1, 1, 0, 0, 0))


def _add(sums: dict[_Group, _Sums], group: _Group, more: _Sums) -> None:
    so_far = sums.get(group)
    if so_far is None:
        sums[group] = more
        return
    a, b, c, d, e, f, g, h, counted, tokens = so_far
    i, j, k, m, n, o, p, q, more_counted, more_tokens = more
    sums[group] = (
        *(a + i, b + j, c + k, d + m, e + n, f + o, g + p, h + q),
        *(counted + more_counted, tokens + more_tokens),
    )


def _add_tally(tallies: dict[_Name, _Tally], name: _Name, more: _Tally) -> None:
    so_far = tallies.get(name)
    if so_far is None:
        tallies[name] = more
        return
    (a, b, c, d, e), (f, g, h, i, j) = so_far, more
    tallies[name] = (a + f, b + g, c + h, d + i, e + j)


def _add_latencies(writer: Writer, rows: Iterable[LoggedRequest]) -> None:
    """Read, added to and written again: safe, as transactions of the log take turns."""
    new = _latencies(rows)
    for *key, durations, first_tokens in bulk.find(writer, tables.latencies, new):
        scope, span, start, provider, model = key
        so_far = new[scope, span, start, provider, model]
        so_far[0] += histogram.from_bytes(durations)
        so_far[1] += histogram.from_bytes(first_tokens)
    counts = [(*key, *map(histogram.to_bytes, both)) for key, both in new.items()]
    bulk.put(writer, tables.latencies, counts, _HISTOGRAMS)


def _latencies(rows: Iterable[LoggedRequest]) -> dict[_Latency, list[int]]:
    """Of answers only: how long a refusal took says nothing about the model."""
    found: dict[_Latency, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        if row.failed or row.provider is None:
            continue
        duration = histogram.packed(row.duration)
        first = 0 if row.first_token is None else histogram.packed(row.first_token)
        hour, model = hour_of(row.at), row.served_model or ""
        for key in (
            ("all", HOUR, hour, "", ""),
            ("model", HOUR, hour, row.provider, model),
            ("model", DAY, hour - hour % DAY, row.provider, model),
        ):
            found[key][0] += duration
            found[key][1] += first
    return found
