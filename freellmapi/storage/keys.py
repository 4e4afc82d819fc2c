"""Provider keys: sealed secrets, and what is known about each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.storage.counters import CONFIG, advance
from freellmapi.storage.db import Database
from freellmapi.storage.tables import provider_keys
from freellmapi.storage.vault import Vault, follow, mask

#: ``unchecked``: never probed. ``invalid``: the provider refused it. ``error``: the probe
#: itself failed, which says nothing about the key.
STATUSES = ("unchecked", "healthy", "rate_limited", "invalid", "error")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One row. ``sealed`` opens only through the store; ``mask`` is for people."""

    id: int
    provider: str
    label: str
    mask: str
    sealed: bytes
    status: str
    status_reason: str
    enabled: bool
    created_at: float
    checked_at: float | None
    last_used_at: float | None
    extra: Mapping[str, str]
    """Further fields of the account, e.g. an account id that the provider asks for."""


class DuplicateKey(Exception):
    """The provider's key is stored already, as ``existing``."""

    def __init__(self, existing: StoredKey) -> None:
        super().__init__(f"This key is stored already, as {existing.mask} (key={existing.id}).")
        self.existing = existing


class KeyStore:
    """The keys of one database."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def add(
        self,
        provider: str,
        secret: str,
        label: str = "",
        extra: Mapping[str, str] | None = None,
        *,
        enabled: bool = True,
    ) -> StoredKey:
        """Stores a new key; ``DuplicateKey`` if the provider has this one already."""
        values = {
            "provider": provider,
            "label": label,
            "mask": mask(secret),
            "sealed": b"",
            "fingerprint": b"",
            "status": "unchecked",
            "status_reason": "",
            "enabled": enabled,
            "created_at": self._clock.now(),
            "extra": json.dumps(dict(extra or {})),
        }
        try:
            with self._database.begin() as connection:
                return self._insert(connection, values, secret)
        except IntegrityError as exc:
            existing = self.find(provider, secret)
            if existing is None:
                raise
            raise DuplicateKey(existing) from exc

    def all(self) -> tuple[StoredKey, ...]:
        """Every key, oldest first."""
        with self._database.connect() as connection:
            rows = connection.execute(select(provider_keys).order_by(provider_keys.c.id)).all()
            follow(connection, self._vault)
            return tuple(_stored(row) for row in rows)

    def get(self, id: int) -> StoredKey | None:
        with self._database.connect() as connection:
            row = connection.execute(select(provider_keys).where(provider_keys.c.id == id)).first()
            return _stored(row) if row else None

    def find(self, provider: str, secret: str) -> StoredKey | None:
        """The provider's key that is this one, if it is stored."""
        with self._database.connect() as connection:
            follow(connection, self._vault)
            row = connection.execute(
                select(provider_keys).where(
                    provider_keys.c.provider == provider,
                    provider_keys.c.fingerprint == self._vault.fingerprint(secret),
                )
            ).first()
            return _stored(row) if row else None

    def remove(self, id: int) -> bool:
        """Whether there was such a key."""
        with self._database.begin() as connection:
            gone = connection.execute(delete(provider_keys).where(provider_keys.c.id == id))
            return _bumped(connection, gone.rowcount)

    def restore(self, key: StoredKey) -> None:
        """Puts a removed key back as it was; ``DuplicateKey`` if it was added anew meanwhile."""
        values = {column.name: getattr(key, column.name, None) for column in provider_keys.columns}
        values |= {"extra": json.dumps(dict(key.extra))}
        try:
            with self._database.begin() as connection:
                follow(connection, self._vault)
                secret = self.secret(key)
                values["fingerprint"] = self._vault.fingerprint(secret)
                if self._vault.was_rotated:
                    # Perhaps since it was removed.
                    values["sealed"] = self._vault.seal(secret, identity(key.id, key.provider))
                connection.execute(insert(provider_keys).values(**values))
                advance(connection, CONFIG)
        except IntegrityError as exc:
            existing = self.find(key.provider, self.secret(key))
            if existing is None:
                raise
            raise DuplicateKey(existing) from exc

    def set_enabled(self, id: int, enabled: bool) -> bool:
        """Whether there is such a key."""
        with self._database.begin() as connection:
            done = connection.execute(
                update(provider_keys).where(provider_keys.c.id == id).values(enabled=enabled)
            )
            return _bumped(connection, done.rowcount)

    def set_status(self, id: int, status: str, reason: str = "") -> bool:
        """Notes the outcome of a check made now; whether there is such a key.

        Running servers are told only when the status is another than before.
        """
        if status not in STATUSES:
            raise ValueError(f"unknown key status {status!r}")
        row = update(provider_keys).where(provider_keys.c.id == id)
        checked = {"status_reason": reason, "checked_at": self._clock.now()}
        with self._database.begin() as connection:
            changed = connection.execute(
                row.where(provider_keys.c.status != status).values(status=status, **checked)
            )
            if _bumped(connection, changed.rowcount):
                return True
            return bool(connection.execute(row.values(**checked)).rowcount)

    def touch(self, ids: Iterable[int], now: float) -> None:
        """Notes that these keys were used."""
        with self._database.begin() as connection:
            connection.execute(
                update(provider_keys)
                .where(provider_keys.c.id.in_(list(ids)))
                .values(last_used_at=now)
            )

    def secret(self, key: StoredKey) -> str:
        """The key itself; ``VaultError`` if the row was tampered with."""
        return self._vault.open(key.sealed, identity(key.id, key.provider))

    def _insert(
        self, connection: Connection, values: Mapping[str, object], secret: str
    ) -> StoredKey:
        follow(connection, self._vault)
        values = {**values, "fingerprint": self._vault.fingerprint(secret)}
        # The row's id is part of what its secret is sealed to: row first, then seal.
        id = connection.scalar(insert(provider_keys).values(**values).returning(provider_keys.c.id))
        assert id is not None
        sealed = self._vault.seal(secret, identity(id, str(values["provider"])))
        row = connection.execute(
            update(provider_keys)
            .where(provider_keys.c.id == id)
            .values(sealed=sealed)
            .returning(provider_keys)
        ).one()
        advance(connection, CONFIG)
        return _stored(row)


def _bumped(connection: Connection, changed: int) -> bool:
    if changed:
        advance(connection, CONFIG)
    return bool(changed)


def identity(id: int, provider: str) -> str:
    """What the secret of a row is sealed to."""
    return f"provider_key:{id}:{provider}"


def _stored(row: Row[tuple[object, ...]]) -> StoredKey:
    fields = dict(row._mapping)
    del fields["fingerprint"]
    fields["extra"] = MappingProxyType(json.loads(fields["extra"]))
    return StoredKey(**fields)
