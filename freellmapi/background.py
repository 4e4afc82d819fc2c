"""Jobs that run beside the requests: following configuration changes, cleaning up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

import gevent
from gevent import Greenlet
from gevent.hub import Hub
from gevent.threadpool import ThreadPool

from freellmapi.api.measured import own
from freellmapi.core.errors import DAY
from freellmapi.services import Services
from freellmapi.spare_memory import give_back
from freellmapi.storage.checkpoint import checkpoint
from freellmapi.storage.db import why_away
from freellmapi.storage.folding import fold

log = logging.getLogger(__name__)

T = TypeVar("T")

_POOLS: WeakKeyDictionary[Hub, ThreadPool] = WeakKeyDictionary()

FOLLOW_INTERVAL = 1.0
"""Seconds between looks at the configuration's version: a change by another process, such
as the command line, is in force within two seconds."""
TICK_INTERVAL = 0.25
"""Seconds between signs of life to the other workers."""
LEASE_INTERVAL = 5.0
"""Seconds between renewals of the lease on what one process does for all."""
HEALTH_INTERVAL = 5.0
"""Seconds between looks whether a key is due for a probe."""
SAVE_INTERVAL = 60.0
SUM_INTERVAL = 5.0
"""Seconds after which what was logged is in the sums, at the latest."""
COPY_AFTER = 200
"""Transactions of the log, about four pages each, after which SQLite's are copied."""
FLUSH_INTERVAL = 1.0
"""Seconds between tries to log what the database has refused."""
OFF_HUB_THREADS = 10
OFF_HUB_LIMIT = 60.0
"""Seconds after which nobody waits for a job in the thread pool any more."""
TELL_INTERVAL = 2.0
"""Seconds for which the counts that a worker shows of another one may be old."""
GIVE_BACK_INTERVAL = 15.0
CLEAN_INTERVAL = 3_600.0
FORGET_AFTER = 30 * DAY
"""Seconds after its newest call in which a model's measurements are kept."""


def off_hub(job: Callable[[], T]) -> T:
    """Run a blocking job in a thread while requests go on."""
    running = _pool(gevent.get_hub()).spawn(_attempted, job)
    try:
        result, error = cast(tuple[T, Exception | None], running.get(timeout=OFF_HUB_LIMIT))
    except gevent.Timeout as exc:
        # A BaseException, which would end the job's greenlet for good.
        raise TimeoutError("a background job took too long") from exc
    if error is not None:
        raise error
    return result


def _pool(hub: Hub) -> ThreadPool:
    """The hub's threads for jobs. gevent's own look names up: while a name server is silent
    they may all be taken."""
    pool = _POOLS.get(hub)
    if pool is None:
        pool = _POOLS[hub] = ThreadPool(OFF_HUB_THREADS, hub)
    return pool


def _attempted(job: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """What the job returned, or raised."""
    try:
        return job(), None
    except Exception as exc:  # noqa: BLE001
        # What is raised in the pool gevent would also print, outside the log.
        return None, exc


class Background:
    """The jobs of one process; each runs off the hub, in gevent's thread pool."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._greenlets: list[Greenlet] = []
        self._summed = -1
        """Transactions of the log when it was last summed up; not yet, at the start."""
        self._copied = 0
        """And when they were last copied into the database."""
        self._is_grown = False
        """Whether SQLite's write-ahead log has its size from busier times."""
        self._waiting: set[str] = set()
        """Jobs that the database did not answer the last time."""

    def start(self) -> None:
        self._greenlets = [
            gevent.spawn(self._every, FOLLOW_INTERVAL, self._follow),
            gevent.spawn(self._every, TICK_INTERVAL, self._tick),
            gevent.spawn(self._every, LEASE_INTERVAL, self._lead),
            gevent.spawn(self._every, HEALTH_INTERVAL, self._check_keys),
            gevent.spawn(self._every, FLUSH_INTERVAL, self._flush),
            gevent.spawn(self._every, SUM_INTERVAL, self._sum_up),
            gevent.spawn(self._every, SAVE_INTERVAL, self._save),
            gevent.spawn(self._every, SAVE_INTERVAL, self._save_token_use),
            gevent.spawn(self._every, GIVE_BACK_INTERVAL, self._give_back),
            gevent.spawn(self._every, CLEAN_INTERVAL, self._clean),
            gevent.spawn(self._every, TELL_INTERVAL, self._tell),
            gevent.spawn(self._services.watchdog.run, self._services.clock),
        ]

    def stop(self) -> None:
        gevent.killall(self._greenlets)
        with suppress(OSError):
            self._tell()

    def _every(self, seconds: float, job: Callable[[], None]) -> None:
        while True:
            gevent.sleep(seconds)
            self.attempt(job)

    def attempt(self, job: Callable[[], None]) -> None:
        """Do it once; if it fails, say so, as it is tried again later."""
        try:
            job()
            self._waiting.discard(job.__name__)
        except Exception as exc:  # noqa: BLE001
            # An edge: whatever it is, the other jobs and the next time are not to suffer.
            self._failed(job.__name__, exc)

    def _failed(self, job: str, exc: Exception) -> None:
        """A stack for a mistake of ours; one line for a database that is away."""
        reason = why_away(exc)
        if reason is None:
            log.error("background job failed job=%s", job, exc_info=exc)
        elif job not in self._waiting:
            self._waiting.add(job)
            log.warning("background job waits for the database job=%s: %s", job, reason)

    def _follow(self) -> None:
        """Take over what another process, or an editor of the file, has written."""
        services = self._services

        def refreshed() -> bool:
            services.reread()
            return services.configuration.refresh()

        if off_hub(refreshed):
            services.gateway.reconfigured()
            log.info("configuration reloaded version=%d", services.configuration.snapshot.version)

    def _tick(self) -> None:
        """Keep up with the other workers."""
        if self._services.cluster is not None:
            self._services.cluster.tick()

    def _lead(self) -> None:
        """Keep the lease, or take it when who had it is gone."""
        led = self._services.leadership.held
        if off_hub(self._services.leadership.renew) != led:
            log.info("background jobs %s", "left to another process" if led else "taken over")

    def _check_keys(self) -> None:
        """Write down what has changed, and probe the keys that are due if that is for us."""
        self._services.health.run_once(probing=self._services.leadership.held)

    def _flush(self) -> None:
        """Write the rows that the log has kept; its own thread does that."""
        request_log = self._services.request_log
        if not request_log.kept:
            return
        request_log.flush()
        if not request_log.is_away:
            log.info("request log written again")

    def _sum_up(self) -> None:
        """Add what was logged to the hourly sums, if anything was; clear the way for more."""
        services = self._services
        written = services.request_log.transactions
        if written == self._summed:
            self._rest()
            return

        def sum_up() -> None:
            with services.request_log.paused():
                if written - self._copied >= COPY_AFTER:
                    checkpoint(services.database)
                    self._copied, self._is_grown = written, True
                # The first to write after that waits for the disk once more: not a request.
                fold(services.database, services.clock.now())

        off_hub(sum_up)
        self._summed = written

    def _rest(self) -> None:
        """Give back what the write-ahead log takes on disk: 50 MB after thousands of requests."""
        services = self._services

        def shrink() -> None:
            with services.request_log.paused():
                checkpoint(services.database, shrink=True)

        if self._is_grown:
            self._is_grown = False
            off_hub(shrink)

    def _save(self) -> None:
        """Write down what was measured; all but the write itself stays on the hub."""
        services = self._services
        services.gateway.preferences.measurements.save(
            lambda changed: off_hub(lambda: services.measurements.save(changed))
        )

    def _save_token_use(self) -> None:
        """Write down which client tokens were used since the last time."""
        off_hub(lambda: self._services.token_use.save(self._services.tokens))

    def _tell(self) -> None:
        """Let the other workers of this server know what was counted."""
        if self._services.exchange is not None:
            self._services.exchange.tell(own(self._services))

    def _give_back(self) -> None:
        """Memory that is free, for other programs."""
        off_hub(give_back)

    def _clean(self) -> None:
        """Drop benches that ended long ago; for all processes, prune."""
        services = self._services
        services.gateway.tools.cooldowns.prune()
        services.gateway.tools.ledger.prune(services.clock.now())
        if not services.leadership.held:
            return
        days = services.configuration.snapshot.settings.log_retention_days
        before = services.clock.now() - days * DAY
        off_hub(lambda: services.request_log.prune(before))
        forgotten = services.clock.now() - FORGET_AFTER
        off_hub(lambda: services.measurements.prune(forgotten))
