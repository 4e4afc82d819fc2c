"""Many rows in few statements, ready-made as text.

A statement on SQLite lets go of the interpreter lock and has to win it back from a busy
hub, so the number of statements is what a transaction off the hub costs. Rows therefore go
in by ``VALUES (...), (...)``, in pieces of a few fixed sizes whose text is built once and
stays in the driver's cache of prepared statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import chain

from sqlalchemy import Table

from freellmapi.storage.writer import Writer

_SIZES = (64, 16, 4, 1)


def add(writer: Writer, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
    """Inserts rows that hold a value for each column of the table, in its order."""
    _insert(writer, table, rows, ())


def count(
    writer: Writer,
    table: Table,
    rows: Iterable[tuple[object, ...]],
    counters: Collection[str],
) -> None:
    """Inserts rows, or adds their ``counters`` to those of the row that has their key.

    No two of the rows may have the same key. They are written in the order of their keys.
    """
    _insert(writer, table, sorted(rows), tuple(counters))


def _insert(
    writer: Writer,
    table: Table,
    rows: Sequence[tuple[object, ...]],
    counters: tuple[str, ...],
) -> None:
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            piece = rows[start : start + size]
            writer.execute(
                _statement(table, size, writer.mark, counters), tuple(chain.from_iterable(piece))
            )
            start += size


@cache
def _statement(table: Table, size: int, mark: str, counters: tuple[str, ...]) -> str:
    names = [column.name for column in table.columns]
    row = f"({', '.join([mark] * len(names))})"
    text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * size)}"
    if counters:
        key = ", ".join(column.name for column in table.primary_key.columns)
        sums = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in counters)
        text += f" ON CONFLICT ({key}) DO UPDATE SET {sums}"
    return text
