"""What the owner has set: settings, the chain, providers of their own; and its version."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select

from freellmapi.core.values import dataclass
from freellmapi.storage import tables
from freellmapi.storage.counters import CONFIG, advance, current
from freellmapi.storage.db import Database

log = logging.getLogger(__name__)

LAST_IMPORT = "last_import"
_LIMITS, _ENV_KEYS = "limits", "env_keys"


@dataclass(frozen=True, slots=True)
class ChainRow:
    """One place in the chain: a model's ref and whether it is asked."""

    ref: str
    enabled: bool


class ConfigStore:
    """The owner's choices. Every write changes ``version`` in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self) -> int:
        """Another number after each write to keys, tokens, settings, chain or providers."""
        with self._database.connect() as connection:
            return current(connection, CONFIG)

    def touch(self) -> None:
        """Advance the version for what has changed outside of the database."""
        with self._write():
            pass

    def settings(self) -> dict[str, Any]:
        return self._documents(tables.settings)

    def put_settings(self, values: Mapping[str, Any]) -> None:
        """Sets these names, leaves the others as they are."""
        with self._write() as connection:
            for name, value in values.items():
                _replace(connection, tables.settings, name, value)

    def delete_setting(self, name: str) -> bool:
        """Whether it was set."""
        return self._delete(tables.settings, name)

    def chain(self) -> tuple[ChainRow, ...]:
        """The models in the order they are asked."""
        columns = tables.chain.c
        with self._database.connect() as connection:
            rows = connection.execute(
                select(columns.ref, columns.enabled).order_by(columns.position)
            )
            return tuple(ChainRow(row.ref, row.enabled) for row in rows)

    def put_chain(
        self,
        rows: Iterable[ChainRow],
        settings: Mapping[str, Any] | None = None,
        only_at: int | None = None,
    ) -> bool:
        """Replaces the whole chain, and sets these settings with it.

        With ``only_at``, nothing is written unless that is still the version; whether it was.
        """
        values = [
            {"position": position, "ref": row.ref, "enabled": row.enabled}
            for position, row in enumerate(rows)
        ]
        with self._database.begin() as connection:
            if only_at is not None and current(connection, CONFIG) != only_at:
                return False
            connection.execute(delete(tables.chain))
            if values:
                connection.execute(insert(tables.chain), values)
            for name, value in (settings or {}).items():
                _replace(connection, tables.settings, name, value)
            advance(connection, CONFIG)
        return True

    def custom_providers(self) -> dict[str, dict[str, Any]]:
        return self._documents(tables.custom_providers)

    def put_custom_provider(self, id: str, definition: Mapping[str, Any]) -> None:
        """Adds the provider, or replaces the one of this id."""
        with self._write() as connection:
            _replace(connection, tables.custom_providers, id, dict(definition))

    def delete_custom_provider(self, id: str) -> bool:
        """Whether there was one."""
        return self._delete(tables.custom_providers, id)

    def discovered(self) -> dict[str, dict[str, Any]]:
        """What was taken over from the providers' own model lists, by provider."""
        return self._documents(tables.discovered)

    def put_discovered(self, provider: str, document: Mapping[str, Any]) -> None:
        """Replaces what was taken over from this provider."""
        with self._write() as connection:
            _replace(connection, tables.discovered, provider, dict(document))

    def delete_discovered(self, provider: str) -> bool:
        """Whether there was anything."""
        return self._delete(tables.discovered, provider)

    def limits(self) -> tuple[dict[str, Any], ...]:
        """Caps of the owner's own accounts, as entries of ``[[limits]]``."""
        return tuple(self._document(_LIMITS, ()))

    def put_limits(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Replaces them all."""
        self._put_document(_LIMITS, [dict(entry) for entry in entries])

    def env_keys(self) -> tuple[tuple[str, str, str], ...]:
        """(provider, variable, label) of keys that stand in the environment."""
        return tuple((p, variable, label) for p, variable, label in self._document(_ENV_KEYS, ()))

    def put_env_keys(self, entries: Iterable[tuple[str, str, str]]) -> None:
        """Replaces them all."""
        self._put_document(_ENV_KEYS, list(entries))

    def last_import(self) -> dict[str, Any] | None:
        """How what was imported last is taken back; None when nothing is to be."""
        found: dict[str, Any] | None = self._document(LAST_IMPORT, None)
        return found

    def put_last_import(self, document: Mapping[str, Any] | None) -> None:
        self._put_document(LAST_IMPORT, document)

    def _document(self, name: str, otherwise: object) -> Any:
        return self._documents(tables.documents).get(name, otherwise)

    def _put_document(self, name: str, document: object) -> None:
        with self._write() as connection:
            _replace(connection, tables.documents, name, document)

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._database.begin() as connection:
            yield connection
            advance(connection, CONFIG)

    def _documents(self, table: Table) -> dict[str, Any]:
        name, document = table.columns
        with self._database.connect() as connection:
            rows = connection.execute(select(name, document).order_by(name)).all()
        found: dict[str, Any] = {}
        for key, text in rows:
            try:
                found[key] = json.loads(text)
            except ValueError:
                # One damaged row must not keep the program from starting.
                log.warning("unreadable row passed over table=%s name=%s", table.name, key)
        return found

    def _delete(self, table: Table, key: str) -> bool:
        name = table.columns[0]
        with self._database.begin() as connection:
            gone = connection.execute(delete(table).where(name == key)).rowcount
            if gone:
                advance(connection, CONFIG)
            return bool(gone)


def _replace(connection: Connection, table: Table, key: str, document: object) -> None:
    name, column = table.columns
    connection.execute(delete(table).where(name == key))
    connection.execute(insert(table).values({name: key, column: json.dumps(document)}))
