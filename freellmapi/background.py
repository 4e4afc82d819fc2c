"""Jobs that run beside the requests: following configuration changes, cleaning up."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent import Greenlet

from freellmapi.core.errors import DAY
from freellmapi.services import Services

log = logging.getLogger(__name__)

FOLLOW_INTERVAL = 1.0
"""Seconds between looks at the configuration's version: a change by another process, such
as the command line, is in force within two seconds."""
SAVE_INTERVAL = 60.0
CLEAN_INTERVAL = 3_600.0
FORGET_AFTER = 30 * DAY
"""Seconds after its newest call in which a model's measurements are kept."""


class Background:
    """The jobs of one process; each runs off the hub, in gevent's thread pool."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._greenlets: list[Greenlet] = []

    def start(self) -> None:
        self._greenlets = [
            gevent.spawn(self._every, FOLLOW_INTERVAL, self._follow),
            gevent.spawn(self._every, SAVE_INTERVAL, self._save),
            gevent.spawn(self._every, CLEAN_INTERVAL, self._clean),
        ]

    def stop(self) -> None:
        gevent.killall(self._greenlets)

    def _every(self, seconds: float, job: Callable[[], None]) -> None:
        while True:
            gevent.sleep(seconds)
            try:
                job()
            except Exception:
                # An edge: a job that fails (a locked database, say) is tried again later.
                log.exception("background job failed job=%s", job.__name__)

    def _follow(self) -> None:
        """Take over what another process has written."""
        services = self._services
        if gevent.get_hub().threadpool.apply(services.configuration.refresh):
            services.gateway.reconfigured()
            log.info("configuration reloaded version=%d", services.configuration.snapshot.version)

    def _save(self) -> None:
        """Write down what was measured; all but the write itself stays on the hub."""
        services, pool = self._services, gevent.get_hub().threadpool
        services.gateway.preferences.measurements.save(
            lambda changed: pool.apply(services.measurements.save, (changed,))
        )

    def _clean(self) -> None:
        """Drop old log rows and benches that ended long ago."""
        services = self._services
        days = services.configuration.snapshot.settings.log_retention_days
        before = services.clock.now() - days * DAY
        gevent.get_hub().threadpool.apply(services.request_log.prune, (before,))
        services.gateway.tools.cooldowns.prune()
        forgotten = services.clock.now() - FORGET_AFTER
        gevent.get_hub().threadpool.apply(services.measurements.prune, (forgotten,))
