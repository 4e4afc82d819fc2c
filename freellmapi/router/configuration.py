"""The live configuration: read from database, files and environment into one snapshot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any

from freellmapi.core.catalog import Catalog
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.values import dataclass
from freellmapi.providers.catalog import (
    NO_KEY,
    STORED_KEY,
    load_catalog,
    with_base_urls,
    with_custom,
    with_limits,
)
from freellmapi.providers.catalog_fields import CatalogError
from freellmapi.providers.changes import with_discovered
from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import OutboundProxies
from freellmapi.router.settings import RouterSettings
from freellmapi.router.snapshot import ANONYMOUS, LiveKey, Snapshot, merged_chain
from freellmapi.storage.config import ConfigStore
from freellmapi.storage.keys import KeyStore, StoredKey
from freellmapi.storage.tokens import ClientToken, TokenStore
from freellmapi.storage.vault import VaultError

log = logging.getLogger(__name__)

ENV = "env:"
"""Key ids that begin so name a variable of the environment."""


@dataclass(frozen=True, slots=True)
class Given:
    """What comes from outside the database: environment and configuration file."""

    env_key: Callable[[str], str | None] = lambda name: None
    base_url: Callable[[str], str | None] = lambda provider: None
    env_keys: tuple[tuple[str, str, str], ...] = ()
    """(provider, variable, label) of keys that the configuration file names."""
    chain: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    providers: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    limits: tuple[Mapping[str, Any], ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)
    """Providers that cannot be used on this machine, and why."""
    local_model: str | None = None
    """The model that this machine itself serves."""
    network: Mapping[str, Any] | None = field(default=None, repr=False)
    """As the configuration file has it; ``proxies`` are what that comes to."""
    proxies: Proxies | None = None
    problems: tuple[str, ...] = ()
    """What was wrong with entries that were left out."""


@dataclass(frozen=True, slots=True)
class _Read:
    """All that was read at one version."""

    snapshot: Snapshot
    stored: Mapping[str, StoredKey]
    clients: Mapping[bytes, ClientToken]
    problems: tuple[str, ...]
    env_keys: tuple[tuple[str, str, str], ...]
    proxies: tuple[Proxies | None, Proxies | None]
    """Those saved here, and those of the configuration file."""


class Configuration:
    """Holds the current snapshot, and the secrets and client tokens that go with it."""

    def __init__(
        self,
        keys: KeyStore,
        tokens: TokenStore,
        config: ConfigStore,
        given: Given,
        proxies: OutboundProxies | None = None,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._config = config
        self._proxies = proxies
        self.given = given
        self.problems: tuple[str, ...] = ()
        self._take(self._read())

    def refresh(self) -> bool:
        """Read everything anew if something was written since; whether it was."""
        before = self.snapshot
        if self._config.version() == before.version:
            return False
        try:
            read = self._read()
        except VaultError as exc:
            # Rotated while we were not looking. What is in memory goes on serving.
            if str(exc) not in self.problems:
                log.error("configuration not taken over: %s", exc)
                self.problems = (*self.problems, str(exc))
            return False
        if self.snapshot is not before and read.snapshot.version < self.snapshot.version:
            # Another thread has read what was written after that.
            return False
        self._take(read)
        return True

    def _take(self, read: _Read) -> None:
        self._stored = read.stored
        self.clients = read.clients
        """Live client tokens by digest."""
        self.env_keys = read.env_keys
        """(provider, variable, label) of the keys in the environment that files name."""
        for problem in read.problems:
            if problem not in self.problems:
                log.warning("configuration: %s", problem)
        self.problems = read.problems
        if self._proxies is not None:
            self._proxies.take(*read.proxies)
        self.snapshot = read.snapshot

    def secret(self, provider: str, key_id: str) -> str | None:
        """The key itself, for one call; None where none is needed."""
        if key_id == ANONYMOUS:
            return None
        if key_id.startswith(ENV):
            return self._from_environment(key_id.removeprefix(ENV).split(","))
        stored = self._stored.get(key_id)
        if stored is None:
            raise UpstreamError(ErrorKind.KEY_REJECTED, "the key was removed")
        try:
            return self._keys.secret(stored)
        except VaultError as exc:
            raise UpstreamError(
                ErrorKind.KEY_REJECTED,
                "the stored key cannot be decrypted: remove and add it again",
            ) from exc

    def _from_environment(self, variables: Sequence[str]) -> str | None:
        """A key of one or more parts; None while any of them is missing."""
        parts = [self.given.env_key(variable) or "" for variable in variables]
        return ":".join(parts) if parts and all(parts) else None

    def _read(self) -> _Read:
        # The version is read first: a write in between is seen by the next refresh.
        version = self._config.version()
        problems = list(self.given.problems)
        catalog = self._catalog(problems)
        stored = self._keys.all()
        env_keys = tuple(dict.fromkeys((*self.given.env_keys, *self._config.env_keys())))
        settings, unusable = RouterSettings().merged(self.given.settings)
        settings, unusable_too = settings.merged(self._config.settings())
        snapshot = Snapshot.of(
            version,
            catalog,
            merged_chain(catalog, self._chain_rows(catalog)),
            self._live_keys(catalog, stored, env_keys),
            settings,
        )
        return _Read(
            snapshot,
            MappingProxyType({str(key.id): key for key in stored}),
            MappingProxyType({t.digest: t for t in self._tokens.live()}),
            (*problems, *unusable, *unusable_too),
            env_keys,
            (self._proxies.read() if self._proxies is not None else None, self.given.proxies),
        )

    def _catalog(self, problems: list[str]) -> Catalog:
        """The built-in catalog with the user's own providers, caps and origins."""
        catalog = load_catalog()
        given = self.given
        custom = {str(p.get("id", "")): _without_key(p) for p in given.providers}
        custom |= self._config.custom_providers()
        steps: list[Callable[[Catalog], Catalog]] = [
            *(_adding(name, definition) for name, definition in custom.items()),
            *(_discovered(name, document) for name, document in self._config.discovered().items()),
            *(_limiting(override) for override in (*given.limits, *self._config.limits())),
        ]
        for step in steps:
            try:
                catalog = step(catalog)
            except CatalogError as exc:
                problems.append(str(exc))
        moved = {p: url for p in catalog.providers if (url := given.base_url(p))}
        try:
            return with_base_urls(catalog, moved) if moved else catalog
        except CatalogError as exc:
            problems.append(str(exc))
            return catalog

    def _chain_rows(self, catalog: Catalog) -> list[tuple[str, bool]]:
        """The stored chain; else the file's, which leaves all other models off."""
        rows = [(row.ref, row.enabled) for row in self._config.chain()]
        if rows or not self.given.chain:
            return rows
        chosen = [(ref, True) for ref in self.given.chain]
        named = set(self.given.chain)
        return chosen + [(m.ref, False) for m in catalog.models if m.ref not in named]

    def _live_keys(
        self,
        catalog: Catalog,
        stored: tuple[StoredKey, ...],
        env_keys: tuple[tuple[str, str, str], ...],
    ) -> Iterator[LiveKey]:
        keyed = {key.provider for key in stored} | {provider for provider, _, _ in env_keys}
        for key in stored:
            if key.provider in catalog.providers:
                yield _live(key)
        taken = {var for _, var, _ in env_keys}
        for provider, variable, label in env_keys:
            if provider not in catalog.providers:
                continue
            missing = "" if self.given.env_key(variable) else f"{variable} is not set"
            yield LiveKey(ENV + variable, provider, label or variable, not missing, missing)
        for provider_id, definition in catalog.providers.items():
            ways = [way for way in definition.env_ways() if taken.isdisjoint(way)]
            found = [way for way in ways if self._from_environment(way)]
            for variables in found[:1]:
                yield LiveKey(ENV + ",".join(variables), provider_id, variables[-1])
            # The user's own endpoint is asked without a key only while it has none.
            if definition.keyless and not (definition.status == "user" and provider_id in keyed):
                reason = self.given.without.get(provider_id, "")
                yield LiveKey(ANONYMOUS, provider_id, "no key", not reason, reason)


def _live(key: StoredKey) -> LiveKey:
    reason = ""
    if not key.enabled:
        reason = "its key is disabled"
    elif key.status == "invalid":
        reason = (
            f"its key was rejected: {key.status_reason}"
            if key.status_reason
            else ("its key was rejected")
        )
    return LiveKey(
        str(key.id),
        key.provider,
        key.label or key.mask,
        not reason,
        reason,
        key.enabled,
        key.status,
        key.checked_at,
    )


def _without_key(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A provider as the catalog takes it: its secret, if it has one, is in the key store."""
    found = {name: value for name, value in definition.items() if name != "id"}
    if found.get("key", NO_KEY) != NO_KEY:
        found["key"] = STORED_KEY
    return found


def _adding(name: str, definition: Mapping[str, Any]) -> Callable[[Catalog], Catalog]:
    return lambda catalog: with_custom(catalog, {name: definition})


def _discovered(name: str, document: Mapping[str, Any]) -> Callable[[Catalog], Catalog]:
    return lambda catalog: with_discovered(catalog, name, document)


def _limiting(override: Mapping[str, Any]) -> Callable[[Catalog], Catalog]:
    return lambda catalog: with_limits(catalog, (override,))
