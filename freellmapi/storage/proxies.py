"""The outbound proxies that the owner has saved, sealed as a whole: their URLs hold passwords."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from freellmapi.storage.config import LAST_IMPORT
from freellmapi.storage.counters import CONFIG, advance
from freellmapi.storage.db import Database
from freellmapi.storage.tables import documents
from freellmapi.storage.vault import Vault, VaultError, follow

_NAME = "proxies"
_IDENTITY = "document:proxies"
RECORD = "proxy"
"""By which the record of an import holds what was saved before, as ``put`` gives it."""


class UnreadableProxies(Exception):
    """What was saved does not open: it was damaged or tampered with."""


class ProxyStore:
    """One document. Every write changes the configuration's version."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def get(self) -> dict[str, str | None] | None:
        """What was put, None for nothing; ``UnreadableProxies`` when that cannot be said."""
        with self._database.connect() as connection:
            sealed = _sealed(connection)
            if sealed is None:
                return None
            follow(connection, self._vault)
        found: dict[str, str | None] = json.loads(self._open(sealed))
        return found

    def put(self, values: Mapping[str, str | None] | None) -> str | None:
        """Replaces them, None removes them; what there was, still sealed, for ``put_back``."""
        with self._database.begin() as connection:
            follow(connection, self._vault)
            before = _sealed(connection)
            self._write(connection, None if values is None else json.dumps(dict(values)))
        return None if before is None else before.hex()

    def put_back(self, before: str | None) -> None:
        """What ``put`` gave, whatever key it was sealed by; ``UnreadableProxies`` otherwise."""
        with self._database.begin() as connection:
            follow(connection, self._vault)
            self._write(connection, None if before is None else self._open(_bytes(before)))

    def _open(self, sealed: bytes) -> str:
        try:
            return self._vault.open(sealed, _IDENTITY)
        except VaultError as exc:
            raise UnreadableProxies(str(exc)) from exc

    def _write(self, connection: Connection, plain: str | None) -> None:
        sealed = None if plain is None else self._vault.seal(plain, _IDENTITY).hex()
        _replace(connection, _NAME, sealed)
        advance(connection, CONFIG)


def reseal(connection: Connection, vault: Vault, new: Vault) -> None:
    """Seals them with another key, and those that an import has replaced.

    What does not open stays what it is.
    """

    def again(sealed: str) -> str:
        try:
            return new.seal(vault.open(_bytes(sealed), _IDENTITY), _IDENTITY).hex()
        except VaultError:
            return sealed

    saved, imported = _document(connection, _NAME), _document(connection, LAST_IMPORT)
    if isinstance(saved, str):
        _replace(connection, _NAME, again(saved))
    if isinstance(imported, dict):
        for record in imported.get("records", ()):
            if record.get(RECORD) is not None:
                record[RECORD] = again(record[RECORD])
        _replace(connection, LAST_IMPORT, imported)


def _sealed(connection: Connection) -> bytes | None:
    """None when nothing is saved. What is damaged opens for nobody, which is not the same."""
    found = _document(connection, _NAME)
    return None if found is None else _bytes(found)


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _document(connection: Connection, name: str) -> Any:
    """None when there is none, "" when it is damaged."""
    text = connection.scalar(select(documents.c.document).where(documents.c.name == name))
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    return "" if found is None else found


def _replace(connection: Connection, name: str, document: object) -> None:
    connection.execute(delete(documents).where(documents.c.name == name))
    if document is not None:
        connection.execute(insert(documents).values(name=name, document=json.dumps(document)))
