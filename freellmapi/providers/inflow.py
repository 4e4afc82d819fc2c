"""What comes over a provider's connection, read by waiting for it."""

from __future__ import annotations

import errno
from typing import Any

import gevent
from gevent import ssl

READ_BYTES = 65_536


class Inflow:
    """Reads from one connected socket, which is not to be read in another way meanwhile.

    A read of gevent's own looks first, which is an exception where pieces come apart, and
    makes a timer for each wait: 56,000 instructions a piece, 15,000 here. To wait first also
    gives others their turn, however fast a provider sends.
    """

    __slots__ = ("_is_tls", "_recv", "_seconds", "_sock", "_timer")

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        # Plain ones are asked below gevent, which has nothing to add where nobody waits.
        self._recv = sock.recv if self._is_tls else sock._sock.recv
        self._timer: Any = None
        self._seconds: float | None = None
        """How long the timer runs; most waits of a stream may last equally long."""
        # From now on it never waits by itself.
        sock.settimeout(0.0)

    def receive(self, timeout: float) -> bytes:
        """The next bytes, b"" at the end; ``TimeoutError`` after so many seconds without any.

        ``OSError`` when somebody closes the socket.
        """
        sock = self._sock
        # What OpenSSL holds already the connection tells nothing of.
        if not self._is_tls or not sock.pending():
            self._wait(sock._read_event, timeout)
        while True:
            try:
                received: bytes = self._recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(sock._read_event, timeout)
            except ssl.SSLWantWriteError:
                self._wait(sock._write_event, timeout)
            else:
                return received

    def at_once(self) -> bytes:
        """What has come already; ``OSError`` if nothing has."""
        received: bytes = self._recv(READ_BYTES)
        return received

    def close(self) -> None:
        """Give up the timer; the socket is left as it is."""
        timer, self._timer, self._seconds = self._timer, None, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _wait(self, event: Any, timeout: float) -> None:
        """Until the socket's ``event``; who closes the socket has it raise an ``OSError``."""
        if event is None:
            raise OSError(errno.EBADF, "closed by another greenlet")
        resume = gevent.getcurrent().switch
        timer = self._timer if timeout == self._seconds else self._timer_of(timeout)
        # ``start`` would count on from where the last wait left it.
        timer.again(resume, False, update=True)
        try:
            event.start(resume, True)
            if self._sock.hub.switch() is False:
                raise TimeoutError
        finally:
            event.stop()
            timer.stop()

    def _timer_of(self, seconds: float) -> Any:
        """A new one in place of the last."""
        self.close()
        # With 0 it would never fire.
        after = max(seconds, 0.001)
        self._timer, self._seconds = self._sock.hub.loop.timer(after, after), seconds
        return self._timer
