"""The ready parts of one process, and how views reach them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import field
from typing import cast

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.providers.local import LocalModel
from freellmapi.providers.outbound import OutboundProxies
from freellmapi.providers.transport import Transport
from freellmapi.router.asking import OffHub
from freellmapi.router.cluster import Cluster
from freellmapi.router.configuration import Configuration
from freellmapi.router.entrance import Entrance
from freellmapi.router.gateway import Gateway
from freellmapi.router.health import Health
from freellmapi.router.watchdog import Watchdog
from freellmapi.storage.accounts import AccountStore
from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database, DatabaseUnavailable
from freellmapi.storage.exchange import Exchange
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.last_used import LastUsed
from freellmapi.storage.lease import Alone, Leadership
from freellmapi.storage.measurements import MeasurementStore
from freellmapi.storage.proxies import ProxyStore
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.token_use import TokenUse
from freellmapi.storage.tokens import TokenStore

log = logging.getLogger(__name__)

EXTENSION = "freellmapi"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a view or a command may use; made by ``app.build_services``."""

    clock: Clock
    new_id: Callable[[], str]
    database: Database
    keys: KeyStore
    tokens: TokenStore
    accounts: AccountStore
    config: ConfigStore
    request_log: RequestLog
    configuration: Configuration
    transport: Transport
    proxies: OutboundProxies
    """By which every call leaves this machine."""
    proxy_store: ProxyStore
    local: LocalModel
    measurements: MeasurementStore
    health: Health
    gateway: Gateway
    off_hub: OffHub
    """Runs a job that blocks or computes for long while other requests go on."""
    entrance: Entrance
    """Who may be inside at once."""
    reread: Callable[[], None] = lambda: None
    """Takes the configuration file over if it has changed; blocks."""
    cluster: Cluster | None = None
    """The other workers, when there may be some."""
    token_use: TokenUse = field(default_factory=TokenUse)
    leadership: Leadership = field(default_factory=Alone)
    """Whether the background jobs that run once among all processes are this one's."""
    last_used: LastUsed = field(default_factory=LastUsed)
    watchdog: Watchdog = field(default_factory=Watchdog)
    exchange: Exchange | None = None
    """Where the workers of a server put their counts together, when there may be several."""

    def close(self) -> None:
        """Stop what runs and flush what is held; in the order that loses nothing."""
        self.request_log.close()
        try:
            self.gateway.preferences.measurements.save(self.measurements.save)
            self.token_use.save(self.tokens)
            self.leadership.release()
        except DatabaseUnavailable as exc:
            log.warning("not all was saved at the end: %s", exc)
        if self.cluster is not None:
            self.cluster.leave()
        self.local.stop()
        self.transport.close()
        self.database.close()


def services() -> Services:
    """The parts that belong to the application of this request."""
    # A server that is asked for nothing but completions never loads Flask.
    from flask import current_app

    return cast(Services, current_app.extensions[EXTENSION])
