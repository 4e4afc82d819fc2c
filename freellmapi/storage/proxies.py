"""The outbound proxies that the owner has saved, sealed as a whole: their URLs hold passwords."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from freellmapi.storage.counters import CONFIG, advance
from freellmapi.storage.db import Database
from freellmapi.storage.tables import documents
from freellmapi.storage.vault import Vault, VaultError, follow

_NAME = "proxies"
_IDENTITY = "document:proxies"


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
        try:
            found: dict[str, str | None] = json.loads(self._vault.open(sealed, _IDENTITY))
        except VaultError as exc:
            raise UnreadableProxies(str(exc)) from exc
        return found

    def put(self, values: Mapping[str, str | None] | None) -> None:
        """Replaces them; None removes them."""
        with self._database.begin() as connection:
            follow(connection, self._vault)
            connection.execute(delete(documents).where(documents.c.name == _NAME))
            if values is not None:
                _insert(connection, self._vault, json.dumps(dict(values)))
            advance(connection, CONFIG)


def reseal(connection: Connection, vault: Vault, new: Vault) -> None:
    """Seals them with another key; what does not open stays what it is."""
    sealed = _sealed(connection)
    if sealed is None:
        return
    try:
        plain = vault.open(sealed, _IDENTITY)
    except VaultError:
        return
    connection.execute(delete(documents).where(documents.c.name == _NAME))
    _insert(connection, new, plain)


def _sealed(connection: Connection) -> bytes | None:
    text = connection.scalar(select(documents.c.document).where(documents.c.name == _NAME))
    try:
        return None if text is None else bytes.fromhex(json.loads(text))
    except (TypeError, ValueError):
        return b""  # Damaged: it opens for nobody, which is not the same as nothing saved.


def _insert(connection: Connection, vault: Vault, plain: str) -> None:
    document = json.dumps(vault.seal(plain, _IDENTITY).hex())
    connection.execute(insert(documents).values(name=_NAME, document=document))
