"""Adds new rows of the request log to the hourly sums, some seconds after they were written.

The mark up to which rows are summed moves in the transaction of the sums, so a row counts once,
whenever a process dies. Nearly all is done inside the database: a row fetched would cost the
interpreter's lock once, and requests wait for that.
"""

from __future__ import annotations

from freellmapi.core.errors import ErrorKind
from freellmapi.storage import bulk, histogram, tables
from freellmapi.storage.counters import SUMMED
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
HISTOGRAMS = ("durations", "first_tokens")

_PIECE = 50_000
"""Rows that are summed by one statement."""

_FAILED = "(r.error IS NOT NULL OR r.status >= 400)"
_OVERTAKEN = f"'{ErrorKind.HEDGED_OUT.value}'"
_CALL_FAILED = f"(a.error IS NOT NULL AND a.error <> {_OVERTAKEN})"
_FELL_BACK = (
    "(SELECT count(*) FROM attempts a WHERE a.log_id = r.id "
    f"AND (a.error IS NULL OR a.error <> {_OVERTAKEN})) > 1"
)


def sum_up(writer: Writer) -> float | None:
    """Sums what is new; when the earliest of it came (epoch seconds), None without any."""
    ((summed, newest, earliest),) = writer.rows(
        f"SELECT c.value, max(r.id), min(r.at) FROM counters c "
        f"LEFT JOIN requests r ON r.id > c.value WHERE c.name = '{SUMMED}' GROUP BY c.value"
    )
    if newest is None:
        return None
    for first in range(summed, newest, _PIECE):
        rows = (first, min(first + _PIECE, newest))
        _add_rollups(writer, rows)
        _add_tallies(writer, rows)
        _add_latencies(writer, rows)
    writer.execute(f"UPDATE counters SET value = {writer.mark} WHERE name = '{SUMMED}'", (newest,))
    return float(earliest)


def hour_of(at: float) -> int:
    """The epoch second in which the hour began."""
    return int(at // HOUR) * HOUR


_Rows = tuple[int, int]
"""Ids: those above the first one, up to the second."""


def _add_rollups(writer: Writer, rows: _Rows) -> None:
    # Attempts count for the hour of their request, so that an hour's are those of its own.
    hour, new = _hour(writer), _new(writer)
    _count(
        writer,
        "rollups",
        ("span", "start", "provider", "model", "key_id"),
        (*COUNTERS, *COUNTED),
        f"SELECT {HOUR}, {hour}, coalesce(r.provider, ''), coalesce(r.served_model, ''), "
        f"coalesce(r.key_id, ''), 1, {_flag(_FAILED)}, {_flag(_FELL_BACK)}, 0, 0, "
        f"r.prompt_tokens, r.completion_tokens, r.duration, 0, 0 FROM requests r WHERE {new}",
        f"SELECT {HOUR}, {hour}, a.provider, a.model, a.key_id, 0, 0, 0, 1, "
        f"{_flag(_CALL_FAILED)}, 0, 0, 0.0, {_flag('a.spent')}, CASE WHEN a.spent THEN "
        "coalesce(a.prompt_tokens, 0) + coalesce(a.completion_tokens, 0) ELSE 0 END "
        f"FROM requests r JOIN attempts a ON a.log_id = r.id WHERE {new}",
        parameters=rows * 2,
    )


def _add_tallies(writer: Writer, rows: _Rows) -> None:
    hour, new = _hour(writer), _new(writer)
    _count(
        writer,
        "tallies",
        ("dimension", "hour", "name"),
        TALLIED,
        f"SELECT 'client', {hour}, coalesce(CAST(r.token_id AS TEXT), ''), 1, {_flag(_FAILED)}, "
        f"{_flag(_FELL_BACK)}, r.prompt_tokens, r.completion_tokens FROM requests r WHERE {new}",
        f"SELECT 'error', {hour}, coalesce(r.error, 'http_' || CAST(r.status AS TEXT)), "
        f"1, 1, 0, 0, 0 FROM requests r WHERE {new} AND {_FAILED}",
        f"SELECT 'fault', {hour}, a.error, 1, 1, 0, 0, 0 "
        f"FROM requests r JOIN attempts a ON a.log_id = r.id WHERE {new} AND {_CALL_FAILED}",
        parameters=rows * 3,
    )


def _count(
    writer: Writer,
    table: str,
    key: tuple[str, ...],
    counters: tuple[str, ...],
    *parts: str,
    parameters: tuple[int, ...],
) -> None:
    """Adds what the queries ``parts`` find, a row's key and counters each, to the table."""
    names = (*key, *counters)
    every = ", ".join((*key, *(f"sum({name})" for name in counters)))
    # The first query names the columns of all.
    found = f"WITH new ({', '.join(names)}) AS ({' UNION ALL '.join(parts)})"
    adding = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in counters)
    # Without the WHERE, SQLite would take ON CONFLICT for the condition of a join.
    writer.execute(
        f"{found} INSERT INTO {table} ({', '.join(names)}) SELECT {every} FROM new "
        f"WHERE true GROUP BY {', '.join(key)} ORDER BY {', '.join(key)} "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {adding}",
        parameters,
    )


def _add_latencies(writer: Writer, rows: _Rows) -> None:
    """Of answers only: how long a refusal took says nothing about the model."""
    listed = "group_concat({})" if writer.is_sqlite else "string_agg(CAST({} AS TEXT), ',')"
    hour = _hour(writer)
    found = writer.rows(
        f"SELECT {hour}, r.provider, r.served_model, {listed.format('r.duration')}, "
        f"{listed.format('r.first_token')} FROM requests r WHERE {_new(writer)} "
        f"AND r.provider IS NOT NULL AND NOT {_FAILED} GROUP BY {hour}, r.provider, r.served_model",
        rows,
    )
    new = {
        ("model", HOUR, start, provider, model or ""): [_histogram(text) for text in both]
        for start, provider, model, *both in found
    }
    for *key, durations, first_tokens in bulk.find(writer, tables.latencies, new):
        so_far = new[tuple(key)]
        so_far[0] += histogram.from_bytes(durations)
        so_far[1] += histogram.from_bytes(first_tokens)
    counts = [(*key, *map(histogram.to_bytes, both)) for key, both in new.items()]
    bulk.put(writer, tables.latencies, counts, HISTOGRAMS)


def _histogram(listed: str | None) -> int:
    """Of seconds, as the database writes a list of them."""
    return histogram.of(map(float, listed.split(","))) if listed else 0


def _hour(writer: Writer) -> str:
    whole = (
        "CAST(r.at / {0} AS INTEGER)" if writer.is_sqlite else "CAST(floor(r.at / {0}) AS BIGINT)"
    )
    return f"{whole.format(HOUR)} * {HOUR}"


def _new(writer: Writer) -> str:
    return f"r.id > {writer.mark} AND r.id <= {writer.mark}"


def _flag(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"
