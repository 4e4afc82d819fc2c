"""Who may open the dashboard. Every method that hashes is slow: not for the hub."""

from __future__ import annotations

import base64

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.storage import passwords
from freellmapi.storage.db import Database
from freellmapi.storage.tables import accounts, vault_canary
from freellmapi.storage.vault import Vault

LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Account:
    """One account as sessions know it; never its password."""

    id: int
    name: str
    epoch: int
    """Grows with each new password; a session made under another epoch is over."""


class AccountExists(Exception):
    """An account of this name exists."""


class UnknownAccount(LookupError):
    """No account has this name."""


_SHOWN = (accounts.c.id, accounts.c.name, accounts.c.epoch)


class AccountStore:
    """The accounts of one database."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def any(self) -> bool:
        with self._database.connect() as connection:
            return connection.execute(select(accounts.c.id).limit(1)).first() is not None

    def get(self, id: int) -> Account | None:
        with self._database.connect() as connection:
            row = connection.execute(select(*_SHOWN).where(accounts.c.id == id)).first()
            return Account(*row) if row else None

    def create(self, name: str, password: str, *, only_first: bool = False) -> Account:
        """A new account; ``AccountExists`` if the name is taken, or any with ``only_first``."""
        now = self._clock.now()
        values = {"name": name, "password": passwords.hashed(password), "epoch": 1}
        try:
            with self._database.begin() as connection:
                if only_first and connection.execute(select(accounts.c.id).limit(1)).first():
                    raise AccountExists("The account exists already; log in with it.")
                row = connection.execute(
                    insert(accounts)
                    .values(**values, created_at=now, changed_at=now)
                    .returning(*_SHOWN)
                ).one()
                return Account(*row)
        except IntegrityError as exc:
            raise AccountExists(f"An account named '{name}' exists.") from exc

    def checked(self, name: str, password: str) -> Account | None:
        """The account if the password is its own; unknown names take as long as wrong ones."""
        with self._database.connect() as connection:
            row = connection.execute(
                select(*_SHOWN, accounts.c.password).where(accounts.c.name == name)
            ).first()
        if row is None:
            passwords.hashed(password[: passwords.LONGEST])
            return None
        *shown, stored = row
        return Account(*shown) if passwords.matches(password, stored) else None

    def set_password(self, name: str, password: str) -> Account:
        """The account with its new password: all its sessions are over."""
        stored = passwords.hashed(password)
        with self._database.begin() as connection:
            row = connection.execute(
                update(accounts)
                .where(accounts.c.name == name)
                .values(password=stored, epoch=accounts.c.epoch + 1, changed_at=self._clock.now())
                .returning(*_SHOWN)
            ).first()
        if row is None:
            raise UnknownAccount(f"There is no account named '{name}'.")
        return Account(*row)

    def names(self) -> tuple[str, ...]:
        """Oldest first."""
        with self._database.connect() as connection:
            return tuple(connection.scalars(select(accounts.c.name).order_by(accounts.c.id)))

    def setup_code(self) -> str:
        """What the first account can be made with from afar: ``ABCD-EFGH-JKLM``.

        Of this database and encryption key alone, so that all workers know the same one
        and none has to be kept; worth nothing once there is an account.
        """
        with self._database.connect() as connection:
            canary = select(vault_canary.c.sealed).where(vault_canary.c.id == 1)
            sealed = connection.scalar(canary) or b""
        seed = self._vault.fingerprint(f"dashboard setup code {sealed.hex()}")
        text = base64.b32encode(seed).decode()[:12]
        return "-".join(text[i : i + 4] for i in (0, 4, 8))
