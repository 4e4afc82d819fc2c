"""The composition root: settings in, ready parts and the application out."""

from __future__ import annotations

import atexit
import logging
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from freellmapi import log as logs
from freellmapi.api.door import Door
from freellmapi.background import Background, off_hub
from freellmapi.core.clock import Clock, SystemClock
from freellmapi.core.errors import SettingsError
from freellmapi.core.values import dataclass
from freellmapi.forwarded import Forwarded
from freellmapi.later_app import LaterApp
from freellmapi.providers.endpoints import Endpoints
from freellmapi.providers.images import Images
from freellmapi.providers.local import LocalModel, LocalSettings
from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import OutboundProxies, of_file
from freellmapi.providers.probe import Prober
from freellmapi.providers.transport import Transport
from freellmapi.providers.wires import WIRES
from freellmapi.router.call import Tools
from freellmapi.router.cluster import Cluster
from freellmapi.router.config_file import ConfigFile
from freellmapi.router.configuration import Configuration, Given
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.entrance import Entrance
from freellmapi.router.followed_file import FollowedFile
from freellmapi.router.gateway import Gateway
from freellmapi.router.health import Health
from freellmapi.router.ledger import Ledger, MemoryLedger
from freellmapi.router.measurements import Measurements
from freellmapi.router.preferences import Preferences
from freellmapi.router.restore import restore
from freellmapi.router.sticky import Sticky
from freellmapi.services import Services
from freellmapi.settings import Settings
from freellmapi.storage.accounts import AccountStore
from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.exchange import Exchange
from freellmapi.storage.installation import installation
from freellmapi.storage.keys import DuplicateKey, KeyStore
from freellmapi.storage.lease import Alone, Leadership, Lease
from freellmapi.storage.measurements import MeasurementStore
from freellmapi.storage.proxies import ProxyStore
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.rollups import Rollups
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault, parse_key, verify

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)


def build_services(settings: Settings, clock: Clock | None = None) -> Services:
    """Open the database, check the encryption key, and put the parts together.

    Raises ``SettingsError`` with the remedy; nothing is written when it does.
    """
    clock = clock or SystemClock()
    vault = Vault(parse_key(settings.encryption_key))
    followed = FollowedFile(settings.config_file) if settings.config_file else None
    file = followed.read() if followed else ConfigFile()
    database = Database.open(settings.database_url, settings.sync)
    try:
        database.migrate()
        verify(database, vault)
        parts = _assemble(settings, file, clock, database, vault)
    except SettingsError:
        database.close()
        raise
    return replace(parts, reread=_rereading(settings, followed, parts)) if followed else parts


def _rereading(settings: Settings, followed: FollowedFile, parts: Services) -> Callable[[], None]:
    """What takes the configuration file over when it has changed."""

    def reread() -> None:
        file = followed.changed()
        if file is None:
            return
        _store_keys(file, parts.keys)
        parts.configuration.given = _given(settings, file, parts.local)
        # Whoever holds something of the old one, here or on an open page, is told so by this.
        parts.config.touch()
        followed.taken()
        log.info("configuration file read anew")

    return reread


def _assemble(
    settings: Settings, file: ConfigFile, clock: Clock, database: Database, vault: Vault
) -> Services:
    keys, tokens = KeyStore(database, vault, clock), TokenStore(database, vault, clock)
    config = ConfigStore(database)
    tokens.ensure()
    _store_keys(file, keys)
    local = LocalModel(LocalSettings(settings.data_dir, settings.local_model), clock)
    saved_proxies = ProxyStore(database, vault)
    proxies = OutboundProxies(_proxies(settings), saved_proxies)
    configuration = Configuration(keys, tokens, config, _given(settings, file, local), proxies)
    request_log = RequestLog(database, clock)
    transport = Transport(clock, proxies)

    def restored(ledger: Ledger) -> None:
        restore(ledger, configuration.snapshot, request_log, Rollups(database), clock.now())

    counting = _counting(settings, database, clock, restored)
    ledger, cooldowns = counting.ledger, counting.cooldowns
    saved = MeasurementStore(database)
    preferences = Preferences(
        Measurements(saved.load()), ledger, cooldowns, clock, Random(), counting.sticky
    )
    tools = Tools(
        transport=transport,
        wires=WIRES,
        endpoints=Endpoints(configuration, {"local": local}),
        ledger=ledger,
        cooldowns=cooldowns,
        clock=clock,
        inlined=Images(clock, proxies).inlined,
    )
    prober = Prober(clock, proxies)
    key_health = Health(configuration, keys, prober, cooldowns, ledger, clock, Random(), off_hub)
    return Services(
        clock=clock,
        new_id=lambda: f"req_{os.urandom(16).hex()}",
        database=database,
        keys=keys,
        tokens=tokens,
        accounts=AccountStore(database, vault, clock),
        config=config,
        request_log=request_log,
        configuration=configuration,
        transport=transport,
        proxies=proxies,
        proxy_store=saved_proxies,
        local=local,
        measurements=saved,
        health=key_health,
        gateway=Gateway(configuration, tools, request_log, key_health, preferences),
        off_hub=off_hub,
        entrance=Entrance(settings.requests_per_token),
        cluster=counting.cluster,
        leadership=_leadership(settings, database, clock),
        exchange=Exchange(settings.data_dir, os.getppid(), clock) if settings.redis_url else None,
    )


def _leadership(settings: Settings, database: Database, clock: Clock) -> Leadership:
    """One worker on a file of its own leads; among others they agree by the database."""
    if database.is_sqlite and settings.redis_url is None:
        return Alone()
    return Lease(database, clock, "background", uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class _Counting:
    """What one worker keeps in memory, and several in Redis."""

    ledger: Ledger
    cooldowns: Cooldowns
    sticky: Sticky
    cluster: Cluster | None


def _counting(
    settings: Settings, database: Database, clock: Clock, restored: Callable[[Ledger], None]
) -> _Counting:
    if settings.redis_url is None:
        ledger = MemoryLedger()
        restored(ledger)
        return _Counting(ledger, Cooldowns(clock), Sticky(), None)
    try:
        from freellmapi.sharing import sharing
    except ImportError as exc:
        raise SettingsError(
            "REDIS_URL needs the client library: pip install 'freellmapi[redis]'."
        ) from exc
    found = sharing(settings.redis_url, installation(database), clock, restored)
    return _Counting(found.ledger, found.cooldowns, found.sticky, found.cluster)


def create_app(settings: Settings, services: Services | None = None) -> WSGIApplication:
    """The WSGI application: the door, and Flask once somebody asks for what is behind it.

    When it makes the services itself it also starts the background jobs, and stops both
    at exit.
    """
    logs.configure(settings.log_format, settings.log_level)
    if services is None:
        services = build_services(settings)
        background = Background(services)
        background.start()
        atexit.register(services.close)
        atexit.register(background.stop)
        _announce(services, settings.url)
    later = LaterApp(partial(_behind_the_door, settings, services), services.off_hub)
    return in_front(later.ready, settings, services)


def in_front(
    others: Callable[[], WSGIApplication], settings: Settings, services: Services
) -> WSGIApplication:
    """The door before ``others``, and before it what finds out who is behind a proxy."""
    door = Door(others, services, settings.cors_origins)
    return Forwarded(door, settings.trusted_proxies) if settings.trusted_proxies else door


def _behind_the_door(settings: Settings, services: Services) -> WSGIApplication:
    from freellmapi.web import flask_app

    return flask_app(settings, services)


def _announce(parts: Services, url: str) -> None:
    """Say in the log how the first account is made, while there is none."""
    if not parts.accounts.any():
        log.warning(
            "nobody can log in yet: open %s/setup in a browser on this machine, or from "
            "elsewhere with the setup code %s",
            url,
            parts.accounts.setup_code(),
        )


def _given(settings: Settings, file: ConfigFile, local: LocalModel) -> Given:
    missing = local.unavailable_reason()
    proxies, wrong = (
        (None, ()) if file.network is None else of_file(file.network, settings.provider_key)
    )
    return Given(
        env_key=settings.provider_key,
        base_url=settings.base_url,
        env_keys=tuple((k.provider, k.variable, k.label) for k in file.keys if k.variable),
        chain=file.chain,
        settings=file.settings,
        providers=file.providers,
        limits=file.limits,
        without={"local": missing} if missing else {},
        local_model=local.model_id(),
        network=file.network,
        proxies=proxies,
        problems=(*file.problems, *wrong),
    )


def _store_keys(file: ConfigFile, keys: KeyStore) -> None:
    """Keys that the configuration file gives literally are kept like any other, once."""
    for key in file.keys:
        if key.variable is None:
            with suppress(DuplicateKey):
                keys.add(key.provider, key.key, key.label, enabled=key.enabled)


def _proxies(settings: Settings) -> Proxies:
    return Proxies(settings.http_proxy, settings.https_proxy, ",".join(settings.no_proxy))
