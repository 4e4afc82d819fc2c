"""The proxies in force: those that the owner has saved, else the environment's."""

from __future__ import annotations

import logging
from typing import Protocol

from freellmapi.providers.origins import Proxies
from freellmapi.storage.proxies import ProxyStore, UnreadableProxies

log = logging.getLogger(__name__)

UNREADABLE = Proxies(*["http://saved-proxy-is-unreadable.invalid:1"] * 2)
"""In force when what was saved does not open: a name that nobody can have, so that every call
fails, as behind any broken proxy, rather than go out directly."""


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

    def take(self, saved: Proxies | None) -> None:
        """From now on; None for the environment's. Nothing happens when they are the same."""
        self.is_saved = saved is not None
        wanted = self.environment if saved is None else saved
        if wanted != self.in_force:
            self.in_force = wanted
            log.info("outbound proxies changed from=%s", "settings" if saved else "environment")
