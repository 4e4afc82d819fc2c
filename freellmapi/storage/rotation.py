"""Another encryption key for everything sealed, while servers go on serving.

One transaction seals everything anew and leaves the new key behind, sealed by the old one. A
running server takes it over when it next reads the configuration or seals something; what it
holds in memory still opens. Until ``finish`` a process started with the old key works too, so
that no crash on the way to the new key's place loses anything; whoever has the old key and the
database can read everything for just as long.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from freellmapi.core.values import dataclass
from freellmapi.storage import keys, proxies, tokens
from freellmapi.storage.counters import CONFIG, advance
from freellmapi.storage.db import Database
from freellmapi.storage.tables import client_tokens, provider_keys
from freellmapi.storage.vault import (
    Vault,
    VaultError,
    end_handover,
    follow,
    hand_over,
    handed_over,
)


class RotationPending(Exception):
    """The last rotation is not finished."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many were sealed anew; ``unreadable``: ids of keys that had not opened before."""

    keys: int
    tokens: int
    unreadable: tuple[int, ...]


def rotate(database: Database, vault: Vault, new_key: bytes) -> Rotated:
    """Seals everything with ``new_key``; ``RotationPending`` unless the last one is finished."""
    new = Vault(new_key)
    with database.begin() as connection:
        follow(connection, vault)
        if handed_over(connection) is not None:
            raise RotationPending
        sealed, unreadable = _reseal_keys(connection, vault, new)
        n_tokens = _reseal_tokens(connection, vault, new)
        proxies.reseal(connection, vault, new)
        hand_over(connection, vault, new_key)
        advance(connection, CONFIG)
    vault.adopt(new_key)
    return Rotated(sealed, n_tokens, unreadable)


def finish(database: Database) -> bool:
    """The old key opens nothing any more; whether a rotation was under way."""
    with database.begin() as connection:
        return end_handover(connection)


def _reseal_keys(connection: Connection, vault: Vault, new: Vault) -> tuple[int, tuple[int, ...]]:
    table, n, unreadable = provider_keys, 0, []
    for row in connection.execute(select(table.c.id, table.c.provider, table.c.sealed)).all():
        identity = keys.identity(row.id, row.provider)
        try:
            secret = vault.open(row.sealed, identity)
        except VaultError:
            # Damaged before: it stays what it is, and must not keep the others from safety.
            unreadable.append(row.id)
            continue
        values = {"sealed": new.seal(secret, identity), "fingerprint": new.fingerprint(secret)}
        connection.execute(update(table).where(table.c.id == row.id).values(**values))
        n += 1
    return n, tuple(unreadable)


def _reseal_tokens(connection: Connection, vault: Vault, new: Vault) -> int:
    table, n = client_tokens, 0
    live = select(table.c.id, table.c.sealed).where(table.c.sealed.is_not(None))
    for row in connection.execute(live).all():
        identity = tokens.identity(row.id)
        try:
            sealed = new.seal(vault.open(row.sealed, identity), identity)
        except VaultError:
            continue  # It can be shown to nobody; who has it is let in by its digest.
        connection.execute(update(table).where(table.c.id == row.id).values(sealed=sealed))
        n += 1
    return n
