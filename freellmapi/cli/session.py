"""What the commands work with: the same database as a running server, opened when needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from freellmapi.core.catalog import Catalog, Model, Provider
from freellmapi.core.clock import Clock, SystemClock
from freellmapi.core.near import near
from freellmapi.router.snapshot import ChainEntry, Snapshot
from freellmapi.settings import Settings
from freellmapi.storage.accounts import AccountStore
from freellmapi.storage.config import ChainRow
from freellmapi.storage.db import Database
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault, parse_key, verify

if TYPE_CHECKING:
    from freellmapi.services import Services


class Failed(click.ClickException):
    """The command cannot do what was asked."""

    as_json = False

    def show(self, file: Any = None) -> None:
        if self.as_json:
            click.echo(json.dumps({"error": self.message}, ensure_ascii=False))
        else:
            click.echo(f"freellmapi: {self.message}", err=True)


class Refused(Failed):
    """Wrong usage or wrong settings: nothing was tried."""

    exit_code = 2


class Session:
    """One run of the command: settings and parts, each made on first use."""

    def __init__(
        self, load: Callable[[], Settings] = Settings.load, clock: Clock | None = None
    ) -> None:
        self._load = load
        self.clock = clock or SystemClock()
        self.as_json = False

    @cached_property
    def settings(self) -> Settings:
        return self._load()

    @cached_property
    def database(self) -> Database:
        database = Database.open(self.settings.database_url)
        database.migrate()
        self._at_end(database.close)
        return database

    @cached_property
    def vault(self) -> Vault:
        vault = Vault(parse_key(self.settings.encryption_key))
        verify(self.database, vault)
        return vault

    @cached_property
    def keys(self) -> KeyStore:
        vault = self.vault
        return KeyStore(self.database, vault, self.clock)

    @cached_property
    def tokens(self) -> TokenStore:
        vault = self.vault
        return TokenStore(self.database, vault, self.clock)

    @cached_property
    def accounts(self) -> AccountStore:
        vault = self.vault
        return AccountStore(self.database, vault, self.clock)

    @cached_property
    def services(self) -> Services:
        """The server's own parts, so that catalog, chain and plan are those it would have."""
        # Half a second of imports, which a command such as ``token show`` need not wait for.
        from freellmapi.app import build_services

        services = build_services(self.settings, self.clock)
        self._at_end(services.close)
        return services

    @property
    def today(self) -> str:
        """The date, in UTC: ``2026-11-22``."""
        return datetime.fromtimestamp(self.clock.now(), timezone.utc).date().isoformat()

    @property
    def snapshot(self) -> Snapshot:
        self.services.configuration.refresh()
        return self.services.configuration.snapshot

    @property
    def catalog(self) -> Catalog:
        return self.snapshot.catalog

    def put_chain(self, chain: Iterable[ChainEntry]) -> None:
        self.services.config.put_chain(ChainRow(entry.model.ref, entry.enabled) for entry in chain)

    def provider(self, name: str) -> Provider:
        """The provider of this id; a name nobody has is wrong usage, with near ones named."""
        found = self.catalog.providers.get(name.lower())
        if found is None:
            raise unknown("provider", name, self.catalog.providers)
        return found

    def model(self, ref: str) -> Model:
        """The model of this ref, or of this id when only one provider has it."""
        exact = self.catalog.by_ref.get(ref)
        if exact is not None:
            return exact
        same = self.catalog.by_id.get(ref) or self.catalog.families.get(ref) or ()
        if len(same) > 1:
            refs = ", ".join(model.ref for model in same)
            raise Refused(f"{ref} is served by several providers; name one of: {refs}.")
        if not same:
            raise unknown("model", ref, self.catalog.by_ref)
        return same[0]

    @staticmethod
    def _at_end(close: Callable[[], None]) -> None:
        click.get_current_context().find_root().call_on_close(close)

    def show(self, value: Any, text: str | None = None) -> None:
        """Prints ``value`` as JSON when that is wanted, else ``text``."""
        if self.as_json:
            click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        elif text is not None:
            click.echo(text)


def unknown(kind: str, name: str, known: Iterable[str]) -> Refused:
    """Wrong usage: there is no ``kind`` of this name; near ones are named."""
    names = list(known)
    meant = near(name.lower(), names, 3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(meant)}?" if meant else f"There are: {', '.join(names)}."
    if not meant and len(names) > 40:
        hint = f"List them with: freellmapi {kind}s list"
    return Refused(f"There is no {kind} {name!r}. {hint}")


def table(rows: Iterable[Iterable[object]]) -> str:
    """Rows with their columns lined up, the first row being the heading."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
