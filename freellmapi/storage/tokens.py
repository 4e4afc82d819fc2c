"""The tokens that clients send: kept sealed to be shown again, found by their digest."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.storage.counters import CONFIG, advance
from freellmapi.storage.db import Database
from freellmapi.storage.tables import client_tokens
from freellmapi.storage.vault import Vault, follow, mask

UNIFIED = "unified"

_SHOWN = (
    client_tokens.c.id,
    client_tokens.c.name,
    client_tokens.c.digest,
    client_tokens.c.mask,
    client_tokens.c.created_at,
    client_tokens.c.last_used_at,
    client_tokens.c.revoked_at,
)


@dataclass(frozen=True, slots=True)
class ClientToken:
    """One token as the gate needs it: never the token itself."""

    id: int
    name: str
    digest: bytes
    mask: str
    created_at: float
    last_used_at: float | None
    revoked_at: float | None


class TokenExists(Exception):
    """A live token of this name exists."""


class UnknownToken(LookupError):
    """No live token has this name."""


class TokenStore:
    """The client tokens of one database. Of each name, at most one is live."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def ensure(self) -> None:
        """Makes the token named ``unified`` unless there is one."""
        if any(token.name == UNIFIED for token in self.live()):
            return
        try:
            self.create(UNIFIED)
        except TokenExists:
            return  # Another process starting at the same time made it.

    def create(self, name: str) -> str:
        """A new token; ``TokenExists`` if a live one has the name."""
        try:
            with self._database.begin() as connection:
                return self._insert(connection, name)
        except IntegrityError as exc:
            raise TokenExists(f"A token named '{name}' exists; rotate or revoke it.") from exc

    def reveal(self, name: str = UNIFIED) -> str:
        """The live token of this name in full; ``UnknownToken`` if there is none."""
        with self._database.connect() as connection:
            row = connection.execute(
                select(client_tokens.c.id, client_tokens.c.sealed).where(
                    client_tokens.c.name == name, client_tokens.c.revoked_at.is_(None)
                )
            ).first()
            follow(connection, self._vault)
        if row is None:
            raise UnknownToken(f"No live token is named '{name}'.")
        return self._vault.open(row.sealed, identity(row.id))

    def rotate(self, name: str = UNIFIED) -> str:
        """A new token in place of the live one, which ends at once."""
        with self._database.begin() as connection:
            self._revoke(connection, name)
            return self._insert(connection, name)

    def revoke(self, name: str) -> bool:
        """Whether there was a live token of this name."""
        with self._database.begin() as connection:
            revoked = self._revoke(connection, name)
            if revoked:
                advance(connection, CONFIG)
            return revoked

    def live(self) -> tuple[ClientToken, ...]:
        """The tokens that are good, oldest first."""
        with self._database.connect() as connection:
            rows = connection.execute(
                select(*_SHOWN)
                .where(client_tokens.c.revoked_at.is_(None))
                .order_by(client_tokens.c.id)
            )
            return tuple(ClientToken(*row) for row in rows)

    def touch(self, ids: Iterable[int], now: float) -> None:
        """Notes that these tokens were used."""
        with self._database.begin() as connection:
            connection.execute(
                update(client_tokens)
                .where(client_tokens.c.id.in_(list(ids)))
                .values(last_used_at=now)
            )

    def _insert(self, connection: Connection, name: str) -> str:
        follow(connection, self._vault)
        token = f"freellmapi-{secrets.token_hex(24)}"
        id = connection.scalar(
            insert(client_tokens)
            .values(name=name, digest=digest(token), mask=mask(token), created_at=self._clock.now())
            .returning(client_tokens.c.id)
        )
        assert id is not None
        connection.execute(
            update(client_tokens)
            .where(client_tokens.c.id == id)
            .values(sealed=self._vault.seal(token, identity(id)))
        )
        advance(connection, CONFIG)
        return token

    def _revoke(self, connection: Connection, name: str) -> bool:
        """Ends the live token of this name; what could show it again goes with it."""
        ended = connection.execute(
            update(client_tokens)
            .where(client_tokens.c.name == name, client_tokens.c.revoked_at.is_(None))
            .values(revoked_at=self._clock.now(), sealed=None)
        )
        return bool(ended.rowcount)


def digest(token: str) -> bytes:
    """What a token is compared by. It has 192 random bits, so plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def identity(id: int) -> str:
    """What a token is sealed to."""
    return f"client_token:{id}"
