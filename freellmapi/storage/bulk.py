"""Many rows in few statements, ready-made as text.

A statement on SQLite lets go of the interpreter lock and has to win it back from a busy
hub, so the number of statements is what a transaction off the hub costs. Rows therefore go
in by ``VALUES (...), (...)``, in pieces of a few fixed sizes whose text is built once and
stays in the driver's cache of prepared statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Table

from freellmapi.storage.writer import Writer

_SIZES = (64, 16, 4, 3, 2, 1)

Values = tuple[Any, ...]


def add(writer: Writer, table: Table, rows: Sequence[Values]) -> None:
    """Inserts rows that hold a value for each column of the table, in its order."""
    _insert(writer, table, rows, "")


def count(writer: Writer, table: Table, rows: Iterable[Values], counters: Collection[str]) -> None:
    """Inserts rows, or adds their ``counters`` to those of the row that has their key.

    No two of the rows may have the same key. They are written in the order of their keys.
    """
    _insert(writer, table, sorted(rows), _setting(table.name, "+", tuple(counters)))


def put(writer: Writer, table: Table, rows: Iterable[Values], columns: Collection[str]) -> None:
    """Like ``count``, but the ``columns`` take the place of what was there."""
    _insert(writer, table, sorted(rows), _setting(table.name, "", tuple(columns)))


def find(writer: Writer, table: Table, keys: Iterable[Values]) -> Iterator[Values]:
    """The rows that have one of these primary keys."""
    for piece in _pieces(sorted(keys)):
        found = writer.rows(
            _finding(table, len(piece), writer.mark), tuple(chain.from_iterable(piece))
        )
        yield from map(tuple, found)


def _insert(writer: Writer, table: Table, rows: Sequence[Values], conflict: str) -> None:
    for piece in _pieces(rows):
        statement = _inserting(table, len(piece), writer.mark, conflict)
        writer.execute(statement, tuple(chain.from_iterable(piece)))


def _pieces(rows: Sequence[Values]) -> Iterable[Sequence[Values]]:
    """Pieces of these sizes, the biggest first."""
    return (rows,) if len(rows) in _SIZES else _cut(rows)


def _cut(rows: Sequence[Values]) -> Iterator[Sequence[Values]]:
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


@cache
def _setting(table: str, sign: str, columns: tuple[str, ...]) -> str:
    sums = (f"{name} = {f'{table}.{name} + ' if sign else ''}excluded.{name}" for name in columns)
    return "DO UPDATE SET " + ", ".join(sums)


@cache
def _inserting(table: Table, size: int, mark: str, conflict: str) -> str:
    names = [column.name for column in table.columns]
    row = f"({', '.join([mark] * len(names))})"
    text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * size)}"
    return f"{text} ON CONFLICT ({_key(table)}) {conflict}" if conflict else text


@cache
def _finding(table: Table, size: int, mark: str) -> str:
    names = ", ".join(column.name for column in table.columns)
    equal = " AND ".join(f"{name} = {mark}" for name in _key(table).split(", "))
    return f"SELECT {names} FROM {table.name} WHERE {' OR '.join([f'({equal})'] * size)}"


def _key(table: Table) -> str:
    return ", ".join(column.name for column in table.primary_key.columns)
