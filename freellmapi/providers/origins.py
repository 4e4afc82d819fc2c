"""Where connections go: pools of them, proxies, and addresses that are refused.

Proxies are honoured except for loopback, and a broken proxy never falls back to a direct
call. Addresses are checked after DNS, so every way of writing one is.
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import select
import socket
import ssl
from dataclasses import field
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

from gevent import ssl as gevent_ssl
from gevent.monkey import get_original
from geventhttpclient.connectionpool import _CA_CERTS, ConnectionPool, SSLConnectionPool

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.providers.guard import REFUSED, is_refused_address

POOL_SIZE = 10_000
MOST_IDLE = 128
"""Connections kept for later. A thousand streams would leave a thousand of them behind, which
hold a file each."""
RESOLVED_FOR = 30.0
"""Seconds for which a host's addresses are not asked for again."""

_poll = get_original("select", "poll") if hasattr(select, "poll") else None


@dataclass(frozen=True, slots=True)
class Proxies:
    """Outbound proxies by scheme, and the hosts that go without (``NO_PROXY`` syntax)."""

    http: str | None = field(default=None, repr=False)
    https: str | None = field(default=None, repr=False)
    no_proxy: str = ""

    @property
    def in_force(self) -> Proxies:
        """Itself: these never change."""
        return self

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


class Pool(ConnectionPool):
    """Connections of one origin, with addresses checked after DNS."""

    clock: Clock
    _resolved: tuple[float, list[Any]] = (0.0, [])
    _made = 0
    _most_idle = MOST_IDLE

    def connection(self, timeout: float) -> tuple[Any, bool]:
        """(a connected socket, whether it has carried a request before)."""
        self.connection_timeout = timeout
        made = self._made
        sock = self.get_socket()
        return sock, self._made == made

    def idle(self) -> Any:
        """A connection that waits for a request, if there is one; never blocks."""
        if self._closed or self._semaphore.locked():
            return None
        while not self._socket_queue.empty():
            sock = self._socket_queue.get(block=False)
            if self._is_socket_alive(sock):
                self._semaphore.acquire(blocking=False)
                return sock
            sock.close()
        return None

    def return_socket(self, sock: Any) -> None:
        if self._socket_queue.qsize() >= self._most_idle:
            self.release_socket(sock)
        else:
            # The number of the last wait would lie among what the next ones leave free.
            sock.settimeout(None)
            super().return_socket(sock)

    def drop_idle(self) -> None:
        """Close the connections that wait for a request."""
        while not self._socket_queue.empty():
            self._socket_queue.get(block=False).close()

    def retire(self) -> None:
        """Keep no connection for later any more; those in use are not touched."""
        self._most_idle = 0
        self.drop_idle()

    def after_connect(self, sock: Any) -> None:
        self._made += 1
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _resolve(self) -> list[Any]:
        # gevent resolves in a pool of ten threads, literal addresses too: a thousand streams
        # that start at once would queue there, so an answer is kept for a while.
        good_until, found = self._resolved
        if self.clock.monotonic() >= good_until:
            found = self._looked_up(found)
            self._resolved = (self.clock.monotonic() + RESOLVED_FOR, found)
        allowed = [info for info in found if not is_refused_address(str(info[4][0]))]
        if found and not allowed:
            raise OSError(REFUSED)
        return allowed

    def _looked_up(self, earlier: list[Any]) -> list[Any]:
        """The addresses of today; while nobody can say, those that were good before."""
        try:
            return list(super()._resolve())
        except OSError:
            if not earlier:
                raise
            return earlier

    def _is_socket_alive(self, sock: Any) -> bool:
        # select() ends at descriptor 1023; thousands of held streams pass that.
        if sock is None or sock.fileno() < 0 or _poll is None:
            return False
        poll = _poll()
        poll.register(sock.fileno(), select.POLLIN)
        return not poll.poll(0)


class TlsPool(Pool, SSLConnectionPool):
    """The same over TLS, certificates and host names checked."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The connections to one origin, and how requests to it begin."""

    pool: Pool
    name: str
    prefix: str = ""
    """Before the target when a plain-HTTP proxy is asked."""
    proxy_authorization: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, scheme: str, host: str, port: int, proxy: str | None, clock: Clock) -> Origin:
        """An origin reached directly or through ``proxy``; ``OSError`` for a refused host."""
        tls = scheme == "https"
        shown = f"[{host}]" if ":" in host else host
        name = shown if port == (443 if tls else 80) else f"{shown}:{port}"
        options: dict[str, Any] = {"size": POOL_SIZE}
        if tls:
            options["ssl_context_factory"] = lambda cafile=None: _tls_context()
        if proxy is None:
            return cls(_pool(tls, clock, host, port, host, port, **options), name)
        if is_refused_address(host):
            # A name behind a proxy is the proxy's to resolve; what is written out is not.
            raise OSError(REFUSED)
        via = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        user, password = unquote(via.username or ""), unquote(via.password or "")
        to = (via.hostname or "", via.port or 8080)
        if tls:
            if user:
                options |= {"proxy_user": user, "proxy_password": password}
            tunnel = _pool(tls, clock, *to, host, port, use_proxy=True, **options)
            return cls(tunnel, name)
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        authorization = f"Basic {login}" if user else None
        relay = _pool(tls, clock, *to, host, port, **options)
        return cls(relay, name, f"http://{name}", authorization)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """One context for all origins: each costs a megabyte of parsed certificates."""
    context: ssl.SSLContext = gevent_ssl.create_default_context(cafile=_CA_CERTS)
    return context


def _pool(tls: bool, clock: Clock, *addresses: Any, **options: Any) -> Pool:
    pool = (TlsPool if tls else Pool)(*addresses, **options)
    pool.clock = clock
    return pool
