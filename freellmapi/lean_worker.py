"""gunicorn's gevent worker without what nobody here uses, and with fewer writes.

Per small request, in instructions: the values of an access log that is off were 6 % of all,
looking settings up 1 %, the date and where the application may complain 2 % each, whether the
client's address is in an empty list 1 %. An answer went out as two packets, each with a system
call of its own and two more around it, at both ends.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.workers.ggevent import GeventWorker

from freellmapi.core.clock import SystemClock

_LAST_FRAME = b"data: [DONE]\n\n\r\n"
"""How the end of a streamed answer looks as a chunk: the body's own end follows at once."""
_LARGE = 65_536
"""Bytes from which joining costs more than a packet of its own."""


class LeanRequest(Request):  # type: ignore[misc]  # gunicorn has no types
    """A request as gunicorn reads it."""

    def _peer_is_trusted_proxy(self) -> bool:
        """gunicorn reads the address before it looks for it, though the list is empty."""
        if isinstance(self.peer_addr, tuple) and not self.cfg.forwarded_allow_ips:
            return False
        return bool(super()._peer_is_trusted_proxy())


_formatted_date = lru_cache(maxsize=4)(util.http_date)


def http_date(timestamp: float | None = None) -> str:
    """The value of ``Date``, made once a second."""
    return str(_formatted_date(int(SystemClock.now() if timestamp is None else timestamp)))


class LeanResponse(wsgi.Response):  # type: ignore[misc]  # gunicorn has no types
    """An answer as gunicorn writes it."""

    def write(self, arg: bytes) -> None:
        """A piece of a streamed answer at once, not by way of five calls."""
        if not arg or not self.chunked or not self.headers_sent or type(arg) is not bytes:
            super().write(arg)
            return
        self.sent += len(arg)
        self.sock.sendall(b"%X\r\n%b\r\n" % (len(arg), arg))


# What each request would make anew, gunicorn has no setting for.
RequestParser.mesg_class = LeanRequest
wsgi.Response = LeanResponse
util.http_date = http_date
wsgi.WSGIErrorsWrapper = cache(wsgi.WSGIErrorsWrapper)


class LeanWorker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves one request as gunicorn does."""

    def init_process(self) -> None:
        self.settle()
        super().init_process()

    def settle(self) -> None:
        """Settings do not change while a worker lives: they are looked up once."""
        self.cfg.__dict__.update({name: each.get() for name, each in self.cfg.settings.items()})
        if not self.cfg.accesslog:
            # gunicorn takes any configuration of logging for a wish to have an access log.
            self.log.access = _nothing

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        joined = Joined(sock)
        try:
            super().handle_request(listener_name, req, joined, addr)
        except StopIteration:
            # Said of a connection that is not to be used again, most often after all went well.
            joined.flush()
            raise
        joined.flush()


class Joined:
    """A client's connection for one answer, whose head is sent with what follows it.

    Only ``sendall`` is its own; the frame that ends a stream is held back in the same way.
    """

    def __init__(self, sock: Any) -> None:
        # gevent's sockets have a ``_sock``, which must be theirs here too.
        self.connection = sock
        self._held: bytes | None = b""
        self._is_begun = False

    def sendall(self, data: bytes) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._held = data
        elif data.endswith(_LAST_FRAME):
            self._held = self._held + data if self._held else data
        elif self._held:
            self._send(data)
        else:
            send(self.connection, data)

    def sendfile(self, *args: Any, **options: Any) -> Any:
        self.flush()
        return self.connection.sendfile(*args, **options)

    def close(self) -> None:
        self._held = None
        self.connection.close()

    def flush(self) -> None:
        """Send what is still held."""
        if self._held:
            self._send(b"")

    def _send(self, data: bytes) -> None:
        held, self._held = self._held, None
        if held and len(data) < _LARGE:
            data = held + data
        elif held:
            send(self.connection, held)
        send(self.connection, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def send(sock: Any, data: bytes) -> None:
    """``sendall``, which asks for the size of the socket's buffer before each piece."""
    sent = sock.send(data)
    if sent < len(data):
        sock.sendall(memoryview(data)[sent:])


def _nothing(*values: object) -> None:
    """In place of the access log."""
