"""Noticing that a client has left while its answer is still being made.

WSGI tells only when a write fails, and nothing is written while a provider is silent.
gunicorn puts the client's socket into the environ; the event loop watches it for an end.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

import gevent

from freellmapi.core.cancel import Cancellation

_READ = 1


class Departure:
    """Watches one client's connection until closed; cancels the request when it ends."""

    def __init__(self, environ: Mapping[str, Any], cancel: Cancellation) -> None:
        self._cancel = cancel
        given: Any = environ.get("gunicorn.socket")
        # Itself, where the worker has put something before it.
        self._socket: Any = getattr(given, "connection", given)
        self._watcher: Any = None
        # A TLS socket cannot be peeked at; behind gunicorn's own TLS the next write tells.
        if self._socket is not None and not isinstance(self._socket, ssl.SSLSocket):
            self._watcher = gevent.get_hub().loop.io(self._socket.fileno(), _READ)
            self._watcher.start(self._readable)

    def _readable(self) -> None:
        """The socket has data, or has ended. Runs in the hub: it must not block."""
        try:
            # The socket below gevent's own, which never waits.
            gone = not self._socket._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        self.close()
        if gone:
            gevent.spawn(self._cancel.cancel)

    def close(self) -> None:
        """Stop watching."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()
