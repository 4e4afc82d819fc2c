"""How long a client may take: for a body to arrive, and to be silent when it has vanished."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from werkzeug.exceptions import RequestTimeout

from freellmapi.core.clock import Clock, SystemClock

BODY_TIME = 120.0
"""Seconds in which a body has to arrive, from the first wait for a piece of it."""
VANISHED = 60
"""Seconds after which a client that answers nothing, or takes nothing, is given up."""


class Arriving:
    """A client's connection as its requests are read from it.

    Heads have their time from the worker. A body costs nothing here when it came along with
    its head, as most do; else it has to be there in ``seconds``, however it drips.
    """

    __slots__ = ("_clock", "_is_in_body", "_is_late", "_seconds", "_sock", "_until")

    def __init__(self, sock: Any, clock: Clock, seconds: float) -> None:
        self._sock = sock
        self._clock = clock
        self._seconds = seconds
        self._until = 0.0
        self._is_in_body = False
        self._is_late = False

    def begin_body(self) -> None:
        """The head is there: what is read from now on belongs to the body."""
        self._is_in_body = True
        self._until = 0.0

    def end_body(self) -> None:
        """The request is answered."""
        self._is_in_body = False

    def recv(self, size: int) -> bytes:
        """What has come; 408 when the time is up, and nothing more after that."""
        if self._is_late:
            return b""
        if not self._is_in_body:
            return self._received(size)
        now = self._clock.monotonic()
        self._until = self._until or now + self._seconds
        self._sock.settimeout(max(0.0, self._until - now))
        try:
            return self._received(size)
        except (TimeoutError, BlockingIOError) as exc:
            # Where a next request would begin is not known any more.
            self._is_late = True
            raise RequestTimeout from exc
        finally:
            self._sock.settimeout(None)

    def _received(self, size: int) -> bytes:
        received: bytes = self._sock.recv(size)
        return received


def arriving(req: Any, seconds: float) -> Arriving:
    """The connection that gunicorn reads this request from; the same for all that come over it."""
    found = req.unreader.sock
    if found.__class__ is not Arriving:
        found = req.unreader.sock = Arriving(found, SystemClock(), seconds)
    assert isinstance(found, Arriving)
    return found


def notice_the_vanished(listeners: Iterable[Any], seconds: int) -> None:
    """Have the system give up silent clients on all connections that are accepted from now on.

    They inherit it. Without it a client whose machine lost its power is missed after two hours.
    """
    told = {
        "TCP_KEEPIDLE": seconds // 2,
        "TCP_KEEPINTVL": max(1, seconds // 6),
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": seconds * 1000,
    }
    options = {getattr(socket, name, None): value for name, value in told.items()}
    for listener in listeners:
        if listener.family not in (socket.AF_INET, socket.AF_INET6):
            continue
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in options.items():
            # What a system does not have it has another name, or its own patience, for.
            if option is not None:
                listener.setsockopt(socket.IPPROTO_TCP, option, value)
