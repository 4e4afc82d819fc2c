"""The proxies in force: those saved in Settings, else the configuration file's, else the
environment's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from freellmapi.providers.origins import Proxies
from freellmapi.providers.proxy_fields import WrongField, read_table
from freellmapi.storage.proxies import ProxyStore, UnreadableProxies

log = logging.getLogger(__name__)

UNREADABLE = Proxies(*["http://saved-proxy-is-unreadable.invalid:1"] * 2)
"""In force when what was saved does not open: a name that nobody can have, so that every call
fails, as behind any broken proxy, rather than go out directly."""
WRONG_FILE = Proxies(*["http://network-of-the-configuration-file-is-wrong.invalid:1"] * 2)
"""The same for a configuration file whose proxy cannot be used."""


class Outbound(Protocol):
    """Says which proxy a call goes through."""

    @property
    def in_force(self) -> Proxies:
        """Another object after each change."""

    def for_origin(self, scheme: str, host: str) -> str | None: ...


class OutboundProxies:
    """Shared by all that call out; ``take`` changes the proxies under their hands."""

    def __init__(self, environment: Proxies, store: ProxyStore) -> None:
        self.environment = environment
        self.of_file: Proxies | None = None
        self._store = store
        self.in_force, self.is_saved = environment, False

    def for_origin(self, scheme: str, host: str) -> str | None:
        return self.in_force.for_origin(scheme, host)

    def read(self) -> Proxies | None:
        """What is saved, None for nothing. Blocks."""
        try:
            found = self._store.get()
        except UnreadableProxies as exc:
            log.error("the saved proxy cannot be used, save it again: %s", exc)
            return UNREADABLE
        return Proxies(found["http"], found["https"], found["no_proxy"] or "") if found else None

    def take(self, saved: Proxies | None, of_file: Proxies | None = None) -> None:
        """From now on; the first that there is. Nothing happens when it is the same."""
        self.is_saved, self.of_file = saved is not None, of_file
        wanted, origin = self.environment, "environment"
        if saved is not None:
            wanted, origin = saved, "settings"
        elif of_file is not None:
            wanted, origin = of_file, "configuration file"
        if wanted != self.in_force:
            self.in_force = wanted
            log.info("outbound proxies changed from=%s", origin)


def of_file(
    table: Mapping[str, object], variable: Callable[[str], str | None]
) -> tuple[Proxies, tuple[str, ...]]:
    """What ``[network]`` of the configuration file says, and what is wrong with it."""

    def value_of(name: str, variable_name: str) -> str:
        found = variable(variable_name)
        if found is None:
            raise WrongField(name, f"{variable_name} is not set.")
        return found

    try:
        return read_table(table, value_of, Proxies()), ()
    except WrongField as exc:
        return WRONG_FILE, (
            f"{exc} Until that is mended no call goes out but by a proxy saved in Settings.",
        )
