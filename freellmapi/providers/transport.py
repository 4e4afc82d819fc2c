"""The one HTTP client of the hot path: pooled, cooperative, read as bytes arrive.

A pool of kept-alive connections per origin; the response head and body are parsed by
llhttp in C. No redirects, no cookies, no .netrc.
"""

from __future__ import annotations

import functools
import socket
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

import gevent
from geventhttpclient._parser import HTTPResponseParser
from geventhttpclient.response import HTTPParseError, HTTPResponse

from freellmapi import __version__
from freellmapi.core.cancel import Cancellation
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.values import dataclass
from freellmapi.providers.inflow import Inflow
from freellmapi.providers.origins import Origin, Pool, Proxies
from freellmapi.providers.outbound import Outbound

MAX_HEAD_BYTES = 64 * 1024
"""The parser takes half a microsecond for each of them."""
MAX_BODY_BYTES = 64 * 1024 * 1024
GONE = "the client has left"
USER_AGENT = f"freellmapi/{__version__}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a call goes, and with what secret. Lives only between the vault and here."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)


class _Parser(HTTPResponse):
    """An HTTP response as it arrives; body pieces are kept until taken."""

    feed_body = HTTPResponseParser.feed
    """``feed`` without its care for what follows the head of an answer that has no body."""

    def __init__(self) -> None:
        super().__init__("POST")
        self.pieces: list[bytes] = []

    def _on_body(self, buf: bytearray) -> None:
        self.pieces.append(bytes(buf))

    def take(self) -> bytes:
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _TimedOut(Exception):
    """The connection could not be made in time."""


_FOREIGN = (OSError, HTTPParseError, _TimedOut, RuntimeError, UnicodeError, zlib.error)
"""What may be raised by those who do the work here; ``_mapped`` knows what each means."""


def _mapped(exc: Exception, cancel: Cancellation) -> UpstreamError:
    """Foreign exceptions become ``UpstreamError``, here and nowhere else."""
    if cancel.cancelled:
        return UpstreamError(ErrorKind.CLIENT_GONE, GONE)
    if isinstance(exc, _TimedOut):
        return UpstreamError(ErrorKind.TIMEOUT, "no connection in time")
    # A name that is no host name at all is refused by the IDNA codec, before any look-up.
    if isinstance(exc, (socket.gaierror, UnicodeError)):
        return UpstreamError(ErrorKind.UNREACHABLE, "its host name cannot be resolved")
    if isinstance(exc, TimeoutError):
        return UpstreamError(ErrorKind.TIMEOUT, "no answer in time")
    if isinstance(exc, ConnectionRefusedError):
        return UpstreamError(ErrorKind.UNREACHABLE, "connection refused")
    if isinstance(exc, (ConnectionError, BrokenPipeError)):
        return UpstreamError(ErrorKind.SERVER_ERROR, "connection reset")
    if isinstance(exc, (HTTPParseError, zlib.error)):
        return UpstreamError(ErrorKind.BAD_ANSWER, "not a readable HTTP answer")
    if isinstance(exc, OSError) and "certificate" in str(exc).lower():
        return UpstreamError(ErrorKind.UNREACHABLE, "its TLS certificate is not valid")
    return UpstreamError(ErrorKind.UNREACHABLE, str(exc) or type(exc).__name__)


class Response:
    """An answer whose head has arrived; the body is read as it comes. Close it."""

    __slots__ = (
        "_cancel",
        "_clock",
        "_inflate",
        "_inflow",
        "_parser",
        "_pool",
        "_sock",
        "headers",
        "status",
    )

    def __init__(
        self,
        sock: Any,
        inflow: Inflow,
        pool: Pool,
        parser: _Parser,
        clock: Clock,
        cancel: Cancellation,
    ) -> None:
        self._sock = sock
        self._inflow = inflow
        self._pool = pool
        self._parser = parser
        self._clock = clock
        self._cancel = cancel
        self.status: int = parser.get_code()
        self.headers: dict[str, str] = {name.lower(): value for name, value in parser.items()}
        encoding = self.headers.get("content-encoding", "").lower()
        # 32 + MAX_WBITS reads both gzip and zlib streams.
        self._inflate = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None

    def next_bytes(self, timeout: float) -> bytes:
        """Whatever has arrived next, at least a byte; b"" at the end of the body.

        Waits at most ``timeout`` seconds of silence, then raises ``TIMEOUT``.
        """
        parser = self._parser
        try:
            while True:
                if parser.pieces:
                    data = parser.take()
                    if self._inflate is not None:
                        data = self._decoded(self._inflate, data)
                    if data:
                        return data
                elif parser.message_complete:
                    self._release(reusable=True)
                    return b""
                else:
                    self._receive(timeout)
        except _FOREIGN as exc:
            raise _mapped(exc, self._cancel) from exc

    def _receive(self, timeout: float) -> None:
        if self._sock is None:
            raise ConnectionResetError
        received = self._inflow.receive(timeout)
        try:
            self._parser.feed_body(received)
        except HTTPParseError as exc:
            if not received:
                raise ConnectionResetError from exc
            raise
        if not received and not self._parser.message_complete:
            raise ConnectionResetError

    def _receive_rest(self) -> None:
        """Take what has arrived without waiting: behind ``[DONE]`` it is often the body's end."""
        try:
            self._parser.feed(self._inflow.at_once())
        except (OSError, HTTPParseError):
            return

    def _decoded(self, inflate: Any, data: bytes) -> bytes:
        plain: bytes = inflate.decompress(data, MAX_BODY_BYTES)
        if inflate.unconsumed_tail:
            raise zlib.error("more than a whole answer may have, from one packet")
        return plain

    def read(self, timeout: float) -> bytes:
        """The whole body, within ``timeout`` seconds; ``BAD_ANSWER`` past 64 MiB."""
        deadline = self._clock.monotonic() + timeout
        pieces: list[bytes] = []
        size = 0
        while True:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise UpstreamError(ErrorKind.TIMEOUT, "the answer did not end in time")
            piece = self.next_bytes(left)
            if not piece:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY_BYTES:
                self.close()
                raise UpstreamError(ErrorKind.BAD_ANSWER, "the answer is larger than 64 MiB")

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else cut it."""
        if self._sock is not None and not self._parser.message_complete:
            self._receive_rest()
        self._release(reusable=self._parser.message_complete)

    def _release(self, *, reusable: bool) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._cancel.interrupted_by(None)
        self._inflow.close()
        if reusable and not self._parser.should_close():
            self._pool.return_socket(sock)
        else:
            self._pool.release_socket(sock)


class Transport:
    """Sends calls to any number of origins over kept-alive connections."""

    def __init__(self, clock: Clock, proxies: Outbound | None = None) -> None:
        self._clock = clock
        self._proxies: Outbound = proxies or Proxies()
        self._made_for = self._proxies.in_force
        self._origins: dict[tuple[str, str, int], Origin] = {}

    def post(
        self,
        endpoint: Endpoint,
        path: str,
        body: bytes,
        *,
        connect_timeout: float,
        first_byte_timeout: float,
        cancel: Cancellation,
    ) -> Response:
        """POST a JSON body; returns when the head of the answer has arrived.

        Raises ``UpstreamError``: ``TIMEOUT``, ``UNREACHABLE``, ``SERVER_ERROR`` (reset),
        ``BAD_ANSWER`` (not HTTP), ``CLIENT_GONE``. Timeouts are seconds.
        """
        where, target = _parsed(endpoint.base_url + path)
        try:
            origin = self._origin(*where)
            message = _head(origin, target, endpoint.headers, len(body)) + body
            while True:
                parser = _Parser()
                sock, reused = self._connect(origin.pool, connect_timeout, cancel)
                try:
                    inflow = self._exchange(
                        origin.pool, sock, parser, message, first_byte_timeout, cancel
                    )
                except ConnectionError:
                    # A kept-alive connection may have been closed under our hands: if nothing
                    # of the request was answered it is sent once more, on a new one.
                    if not reused or parser.message_begun or cancel.cancelled:
                        raise
                    origin.pool.drop_idle()
                else:
                    return Response(sock, inflow, origin.pool, parser, self._clock, cancel)
        except _FOREIGN as exc:
            raise _mapped(exc, cancel) from exc

    def close(self) -> None:
        for origin in self._origins.values():
            origin.pool.close()
        self._origins.clear()

    def _connect(self, pool: Pool, timeout: float, cancel: Cancellation) -> tuple[Any, bool]:
        idle = pool.idle()
        if idle is not None:
            return idle, True
        # The bound covers DNS, TCP, the proxy's CONNECT and the TLS handshake together.
        try:
            with gevent.Timeout(timeout, _TimedOut), _interruptible(cancel):
                return pool.connection(timeout)
        except ConnectionAbortedError as exc:
            if not cancel.cancelled:
                raise
            raise UpstreamError(ErrorKind.CLIENT_GONE, GONE, unsent=True) from exc

    def _exchange(
        self,
        pool: Pool,
        sock: Any,
        parser: _Parser,
        message: bytes,
        timeout: float,
        cancel: Cancellation,
    ) -> Inflow:
        """Send a request and read the head of its answer; the socket is given up on failure."""
        inflow: Inflow | None = None
        try:
            cancel.interrupted_by(sock.close)
            deadline = self._clock.monotonic() + timeout
            sock.settimeout(timeout)
            sent = sock.send(message)
            if sent < len(message):
                sock.sendall(memoryview(message)[sent:])
            inflow = Inflow(sock)
            received = 0
            while not parser.headers_complete or parser.get_code() < 200:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise TimeoutError
                data = inflow.receive(left)
                received += len(data)
                if not data:
                    raise ConnectionResetError
                parser.feed(data)
                if received > MAX_HEAD_BYTES and not parser.headers_complete:
                    raise HTTPParseError("the head is too large")
            return inflow
        except BaseException:
            cancel.interrupted_by(None)
            if inflow is not None:
                inflow.close()
            pool.release_socket(sock)
            raise

    def _origin(self, scheme: str, host: str, port: int) -> Origin:
        if self._made_for is not self._proxies.in_force:
            self._leave_origins()
        key = (scheme, host, port)
        found = self._origins.get(key)
        if found is None:
            proxy = self._proxies.for_origin(scheme, host)
            found = self._origins[key] = Origin.of(scheme, host, port, proxy, self._clock)
        return found

    def _leave_origins(self) -> None:
        """Reach every origin anew, by the proxies of now; streams that run are not touched."""
        self._made_for = self._proxies.in_force
        for origin in self._origins.values():
            origin.pool.retire()
        self._origins.clear()


@contextmanager
def _interruptible(cancel: Cancellation) -> Iterator[None]:
    """What blocks within ends with ``ConnectionAbortedError`` as soon as ``cancel`` says so."""
    greenlet, loop = gevent.getcurrent(), gevent.get_hub().loop
    thrown: list[Any] = []
    cancel.interrupted_by(
        lambda: thrown.append(loop.run_callback(greenlet.throw, ConnectionAbortedError))
    )
    try:
        yield
    finally:
        cancel.interrupted_by(None)
        for callback in thrown:
            callback.stop()


@functools.lru_cache(maxsize=1024)
def _parsed(url: str) -> tuple[tuple[str, str, int], str]:
    """((scheme, host, port), target) of an http(s) URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise UpstreamError(ErrorKind.UNREACHABLE, "its base URL is malformed") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UpstreamError(ErrorKind.UNREACHABLE, "its base URL is not an http(s) URL")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    where = (parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))
    return where, target


def _head(origin: Origin, target: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [
        f"POST {origin.prefix}{target} HTTP/1.1\r\nHost: {origin.name}\r\n"
        f"User-Agent: {USER_AGENT}\r\n"
        f"Accept-Encoding: identity\r\nContent-Type: application/json\r\nContent-Length: {length}"
    ]
    if origin.proxy_authorization:
        lines.append(f"Proxy-Authorization: {origin.proxy_authorization}")
    for name, value in headers.items():
        if "\r" in value or "\n" in value:
            raise UpstreamError(ErrorKind.KEY_REJECTED, "the key holds a line break")
        lines.append(f"{name}: {value}")
    try:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    except UnicodeEncodeError as exc:
        raise UpstreamError(ErrorKind.KEY_REJECTED, "the key holds a character no key has") from exc
