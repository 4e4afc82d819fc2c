"""How long a client may take: for a body to arrive, and to be silent when it has vanished."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from freellmapi.core.clock import Clock, SystemClock
from freellmapi.core.errors import GatewayError

BODY_TIME = 120.0
"""Seconds in which a body has to arrive, from the first wait for a piece of it."""
VANISHED = 60
"""Seconds after which a client that answers nothing, or takes nothing, is given up."""


_HEAD = 8_192
"""Bytes that gunicorn asks for at once while it looks for a head. Where it asks for more after
the answer, it throws the rest of a body away."""
_REST = 16_384
"""Bytes of such a rest at once: gunicorn copies what it holds of it for each KB."""
MOST_REST = 32 * 1024 * 1024
"""Bytes of a rest after which the connection is closed instead: more than any body may have."""


class Arriving:
    """A client's connection as its requests are read from it.

    Heads have their time from the worker. A body costs nothing here when it came along with
    its head, as most do; else it has to be there in ``seconds``, however it drips.
    """

    __slots__ = ("_clock", "_is_in_body", "_is_late", "_rest", "_seconds", "_sock", "_until")

    def __init__(self, sock: Any, clock: Clock, seconds: float) -> None:
        self._sock = sock
        self._clock = clock
        self._seconds = seconds
        self._until = 0.0
        self._is_in_body = False
        self._is_late = False
        self._rest = 0

    def begin_body(self) -> None:
        """The head is there: what is read from now on belongs to the body."""
        self._is_in_body = True
        self._until = 0.0
        self._rest = 0

    def end_body(self) -> None:
        """The request is answered."""
        self._is_in_body = False

    def recv(self, size: int) -> bytes:
        """What has come; 408 when the time is up, and nothing more after that."""
        if self._is_late:
            return b""
        if not self._is_in_body:
            return self._received(size) if size <= _HEAD else self._thrown_away()
        now = self._clock.monotonic()
        self._until = self._until or now + self._seconds
        self._sock.settimeout(max(0.0, self._until - now))
        try:
            return self._received(size)
        except (TimeoutError, BlockingIOError) as exc:
            # Where a next request would begin is not known any more.
            self._is_late = True
            raise GatewayError(
                408, "The request body did not arrive in time.", code="request_timeout"
            ) from exc
        finally:
            self._sock.settimeout(None)

    def _thrown_away(self) -> bytes:
        """A piece of a body that was not read, since it was refused; others have their turn."""
        self._clock.sleep(0)
        received = self._received(_REST)
        self._rest += len(received)
        self._is_late = self._rest > MOST_REST
        return b"" if self._is_late else received

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
