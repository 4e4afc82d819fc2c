"""The one HTTP client of the hot path: pooled, cooperative, read as bytes arrive.

A pool of kept-alive connections per origin; the response head and body are parsed by
llhttp in C. No redirects, no cookies, no .netrc. Proxies are honoured except for
loopback, and a broken proxy never falls back to a direct call.
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import select
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import gevent
from gevent import ssl as gevent_ssl
from gevent.monkey import get_original
from geventhttpclient.connectionpool import _CA_CERTS, ConnectionPool, SSLConnectionPool
from geventhttpclient.response import HTTPParseError, HTTPResponse

from freellmapi import __version__
from freellmapi.core.cancel import Cancellation
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError

READ_BYTES = 65_536
MAX_HEAD_BYTES = 256 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
POOL_SIZE = 10_000
RESOLVED_FOR = 30.0
"""Seconds for which a host's addresses are not asked for again."""
USER_AGENT = f"freellmapi/{__version__}"
METADATA_ADDRESSES = frozenset({"100.100.100.200", "fd00:ec2::254"})

_poll = get_original("select", "poll") if hasattr(select, "poll") else None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a call goes, and with what secret. Lives only between the vault and here."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proxies:
    """Outbound proxies by scheme, and the hosts that go without (``NO_PROXY`` syntax)."""

    http: str | None = None
    https: str | None = None
    no_proxy: str = ""

    def for_origin(self, scheme: str, host: str) -> str | None:
        """The proxy for this origin; never one for loopback."""
        if is_loopback(host):
            return None
        proxy = self.https if scheme == "https" else self.http
        if proxy and self.no_proxy and proxy_bypass_environment(host, {"no": self.no_proxy}):
            return None
        return proxy


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_refused_address(address: str) -> bool:
    """Link-local and cloud metadata addresses: no provider lives there."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (
        ip.is_link_local or str(ip) in METADATA_ADDRESSES or bool(mapped and mapped.is_link_local)
    )


class _AlivePool(ConnectionPool):
    """Connections of one origin, with addresses checked after DNS."""

    clock: Clock
    _resolved: tuple[float, list[Any]] = (0.0, [])

    def _resolve(self) -> list[Any]:
        # gevent resolves in a pool of ten threads, literal addresses too: a thousand streams
        # that start at once would queue there, so an answer is kept for a while.
        good_until, found = self._resolved
        if self.clock.monotonic() >= good_until:
            found = super()._resolve()
            self._resolved = (self.clock.monotonic() + RESOLVED_FOR, found)
        allowed = [info for info in found if not is_refused_address(str(info[4][0]))]
        if found and not allowed:
            raise OSError("the address is link-local or a metadata service: refused")
        return allowed

    def _is_socket_alive(self, sock: Any) -> bool:
        # select() ends at descriptor 1023; thousands of held streams pass that.
        if sock is None or sock.fileno() < 0 or _poll is None:
            return False
        poll = _poll()
        poll.register(sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def after_connect(self, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _AliveTlsPool(_AlivePool, SSLConnectionPool):
    """The same over TLS, certificates and host names checked."""


class _Parser(HTTPResponse):
    """An HTTP response as it arrives; body pieces are kept until taken."""

    def __init__(self) -> None:
        super().__init__("POST")
        self.pieces: list[bytes] = []

    def _on_body(self, buf: bytearray) -> None:
        self.pieces.append(bytes(buf))

    def take(self) -> bytes:
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _Origin:
    """The connections to one origin, and how requests to it begin."""

    pool: _AlivePool
    name: str
    prefix: str = ""
    """Before the target when a plain-HTTP proxy is asked."""
    proxy_authorization: str | None = field(default=None, repr=False)


class _TimedOut(Exception):
    """The connection could not be made in time."""


@contextmanager
def _mapped(cancel: Cancellation | None) -> Iterator[None]:
    """Foreign exceptions become ``UpstreamError``, here and nowhere else."""
    try:
        yield
    except (OSError, HTTPParseError, _TimedOut, RuntimeError, zlib.error) as exc:
        if cancel is not None and cancel.cancelled:
            raise UpstreamError(ErrorKind.CLIENT_GONE, "the client has left") from exc
        raise _upstream_error(exc) from exc


def _upstream_error(exc: Exception) -> UpstreamError:
    if isinstance(exc, _TimedOut):
        return UpstreamError(ErrorKind.TIMEOUT, "no connection in time")
    if isinstance(exc, socket.gaierror):
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

    __slots__ = ("_cancel", "_clock", "_inflate", "_parser", "_pool", "_sock", "headers", "status")

    def __init__(
        self, sock: Any, pool: ConnectionPool, parser: _Parser, clock: Clock, cancel: Cancellation
    ) -> None:
        self._sock = sock
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
        with _mapped(self._cancel):
            while True:
                if parser.pieces:
                    data = parser.take()
                    return self._inflate.decompress(data, MAX_BODY_BYTES) if self._inflate else data
                if parser.message_complete:
                    self._release(reusable=True)
                    return b""
                if self._sock is None:
                    raise ConnectionResetError
                self._sock.settimeout(timeout)
                received = self._sock.recv(READ_BYTES)
                parser.feed(received)
                if not received and not parser.message_complete:
                    raise ConnectionResetError

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
        self._release(reusable=self._parser.message_complete)

    def _release(self, *, reusable: bool) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._cancel.interrupted_by(None)
        if reusable and not self._parser.should_close():
            self._pool.return_socket(sock)
        else:
            self._pool.release_socket(sock)


class Transport:
    """Sends calls to any number of origins over kept-alive connections."""

    def __init__(self, clock: Clock, proxies: Proxies | None = None) -> None:
        self._clock = clock
        self._proxies = proxies or Proxies()
        self._origins: dict[tuple[str, str, int], _Origin] = {}

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
        url = urlsplit(endpoint.base_url + path)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise UpstreamError(ErrorKind.UNREACHABLE, "its base URL is not an http(s) URL")
        origin = self._origin(url.scheme, url.hostname, url.port)
        pool = origin.pool
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        message = _head(origin, target, endpoint.headers, len(body)) + body
        with _mapped(cancel):
            for attempt in (1, 2):
                idle = pool._socket_queue.qsize()
                sock = self._connect(pool, connect_timeout)
                try:
                    return self._exchange(pool, sock, message, first_byte_timeout, cancel)
                except ConnectionError:
                    # A kept-alive connection may have been closed under our hands: nothing
                    # of the request was answered, so it is sent once more on a new one.
                    if attempt == 2 or not idle or cancel.cancelled:
                        raise
                    _drop_idle(pool)
        raise AssertionError("unreachable")

    def close(self) -> None:
        for origin in self._origins.values():
            origin.pool.close()
        self._origins.clear()

    def _connect(self, pool: ConnectionPool, timeout: float) -> Any:
        # The bound covers DNS, TCP, the proxy's CONNECT and the TLS handshake together.
        pool.connection_timeout = timeout
        with gevent.Timeout(timeout, _TimedOut):
            return pool.get_socket()

    def _exchange(
        self,
        pool: ConnectionPool,
        sock: Any,
        message: bytes,
        timeout: float,
        cancel: Cancellation,
    ) -> Response:
        parser = _Parser()
        try:
            cancel.interrupted_by(sock.close)
            deadline = self._clock.monotonic() + timeout
            sock.settimeout(timeout)
            sock.sendall(message)
            received = 0
            while not parser.headers_complete or parser.get_code() < 200:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise TimeoutError
                sock.settimeout(left)
                data = sock.recv(READ_BYTES)
                received += len(data)
                if not data:
                    raise ConnectionResetError
                parser.feed(data)
                if received > MAX_HEAD_BYTES and not parser.headers_complete:
                    raise HTTPParseError("the head is too large")
        except BaseException:
            cancel.interrupted_by(None)
            pool.release_socket(sock)
            raise
        return Response(sock, pool, parser, self._clock, cancel)

    def _origin(self, scheme: str, host: str, port: int | None) -> _Origin:
        number = port or (443 if scheme == "https" else 80)
        key = (scheme, host, number)
        found = self._origins.get(key)
        if found is None:
            proxy = self._proxies.for_origin(scheme, host)
            found = self._origins[key] = _new_origin(scheme, host, number, proxy)
            found.pool.clock = self._clock
        return found


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """One context for all origins: each costs a megabyte of parsed certificates."""
    context: ssl.SSLContext = gevent_ssl.create_default_context(cafile=_CA_CERTS)
    return context


def _new_origin(scheme: str, host: str, port: int, proxy: str | None) -> _Origin:
    tls = scheme == "https"
    shown = f"[{host}]" if ":" in host else host
    name = shown if port == (443 if tls else 80) else f"{shown}:{port}"
    options: dict[str, Any] = {"size": POOL_SIZE}
    if tls:
        options["ssl_context_factory"] = lambda cafile=None: _tls_context()
    to, prefix, authorization = (host, port), "", None
    if proxy:
        via = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        to = (via.hostname or "", via.port or 8080)
        options |= {"use_proxy": True, "proxy_user": via.username, "proxy_password": via.password}
        if not tls:
            prefix = f"http://{name}"
            if via.username:
                pair = f"{via.username}:{via.password or ''}".encode()
                authorization = f"Basic {base64.b64encode(pair).decode()}"
    pool_type = _AliveTlsPool if tls else _AlivePool
    return _Origin(pool_type(*to, host, port, **options), name, prefix, authorization)


def _head(origin: _Origin, target: str, headers: Mapping[str, str], length: int) -> bytes:
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


def _drop_idle(pool: ConnectionPool) -> None:
    while not pool._socket_queue.empty():
        pool._socket_queue.get(block=False).close()
