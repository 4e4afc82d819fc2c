"""The gunicorn worker: gevent's, except that idle connections do not delay a stop, that what
the application refuses to start with is one sentence, and that clients have their time.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import gevent
from gevent import events
from gevent.timeout import Timeout

from freellmapi.arrival import BODY_TIME, VANISHED, arriving, notice_the_vanished
from freellmapi.core.errors import SettingsError
from freellmapi.lasting import lasting
from freellmapi.lean_worker import LeanWorker

log = logging.getLogger(__name__)

# gunicorn ends, instead of trying again for ever, when a worker exits with one of these.
_REFUSED, _BOOT_ERROR = 2, 3

# While it patches, gevent looks 25 times for plugins, in all that is installed. There are none for
# this worker, and that took a sixth of the start.
events.notify_and_call_entry_points = events.notify


class Worker(LeanWorker):
    """Closes connections that only wait for a next request as soon as a stop is asked for.

    gunicorn's own waits for every open connection, so that one browser with a kept-alive
    connection makes each restart last the whole ``graceful_timeout``.
    """

    body_time = BODY_TIME
    vanished = VANISHED

    def settle(self) -> None:
        super().settle()
        self._idle: set[_IdleWait] = set()

    def patch(self) -> None:
        super().patch()
        gevent.get_hub().print_exception = _log_fault

    def load_wsgi(self) -> None:
        try:
            with lasting():
                super().load_wsgi()
        except SettingsError as exc:
            sys.stderr.write(f"freellmapi: {exc}\n")
            # A worker that takes another's place meets what was right before, such as a
            # database that is away for now: a reason to start again, which 2 would not be.
            sys.exit(_REFUSED if self.age <= self.cfg.workers else _BOOT_ERROR)

    def init_process(self) -> None:
        notice_the_vanished(self.sockets, self.vanished)
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        connection = arriving(req, self.body_time)
        connection.begin_body()
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            connection.end_body()

    def timeout_ctx(self) -> _IdleWait:
        """Around the wait for a connection's next request: ends silently at ``keepalive``."""
        return _IdleWait(self._idle, self.cfg.keepalive)

    def notify(self) -> None:
        super().notify()
        if not self.alive:
            for wait in tuple(self._idle):
                wait.end()


class _IdleWait(Timeout):  # type: ignore[misc]  # gevent's types are not read
    """A silent timeout that can also be ended early, from another greenlet."""

    def __init__(self, waiting: set[_IdleWait], seconds: float) -> None:
        super().__init__(seconds, False)
        self._waiting = waiting
        self._greenlet = gevent.getcurrent()

    def __enter__(self) -> _IdleWait:
        self._waiting.add(self)
        super().__enter__()
        return self

    def __exit__(self, *failure: Any) -> Any:
        self._waiting.discard(self)
        return super().__exit__(*failure)

    def end(self) -> None:
        """Make the wait end now, as if its time were up."""
        gevent.get_hub().loop.run_callback(self._expire)

    def _expire(self) -> None:
        # Only the hub runs this, so the request cannot have begun in between.
        if self in self._waiting:
            self._on_expiration(self._greenlet, self)


def _log_fault(context: Any, *fault: Any) -> None:
    """What ended a greenlet that nobody waits for: gevent would write it past the log, which
    keeps secrets out, and with the arguments of the greenlet."""
    log.error("failed unexpectedly in=%s", type(context).__name__, exc_info=fault)
