"""The HTTP client of the control plane: key probes and model lists, by ``requests``.

No redirect is followed, no .netrc and no proxies but those of the settings are read, and
an address is judged after DNS, before a byte is sent.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError

from freellmapi.core.catalog import Provider
from freellmapi.core.values import dataclass
from freellmapi.providers.endpoints import endpoint
from freellmapi.providers.guard import REFUSED, is_refused_address
from freellmapi.providers.outbound import Outbound
from freellmapi.providers.redact import one_line

Refuses = Callable[[str], bool]

TIMEOUTS = (5.0, 20.0)
"""Seconds to connect, and of silence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``body`` ends at the size that was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = field(repr=False)


def control_session(refuses: Refuses = is_refused_address) -> requests.Session:
    """A session that connects to no address that ``refuses`` names."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _GuardedAdapter(refuses))
    return session


def ask(
    session: requests.Session,
    proxies: Outbound,
    provider: Provider,
    key: str | None,
    path: str,
    *,
    most_bytes: int,
    method: str = "GET",
    json: object = None,
) -> Answer:
    """One request to a provider: ``path`` below its base URL, or an absolute URL.

    Raises ``requests.RequestException`` (see ``in_words``), ``OSError``, ``ValueError``, and
    ``UpstreamError`` for a key that lacks a part.
    """
    target = endpoint(provider, key)
    url = path if "://" in path else target.base_url + path
    url = provider.filled(url, key) if key is not None else url
    parts = urlsplit(url)
    proxy = proxies.for_origin(parts.scheme, parts.hostname or "")
    with session.request(
        method,
        url,
        headers=dict(target.headers),
        json=json,
        timeout=TIMEOUTS,
        allow_redirects=False,
        stream=True,
        proxies={parts.scheme: proxy} if proxy else {},
    ) as response:
        body = _read(response, most_bytes)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, body, url)


def _read(response: requests.Response, most_bytes: int) -> bytes:
    try:
        body: bytes = response.raw.read(most_bytes, decode_content=True)
    except HTTPError as exc:
        raise requests.ConnectionError("the answer broke off") from exc
    return body


def in_words(exc: Exception) -> str:
    """A failure in a few words: urllib3's own name the objects in memory, and the URL."""
    if REFUSED in str(exc):
        return REFUSED
    if isinstance(exc, requests.exceptions.ProxyError):
        return "the proxy cannot be reached"
    if isinstance(exc, requests.exceptions.SSLError):
        return "its certificate cannot be trusted"
    if isinstance(exc, requests.Timeout):
        return "it took too long"
    if isinstance(exc, requests.ConnectionError):
        return "it cannot be reached"
    return one_line(str(exc))


class _Guarded(HTTPConnection):
    """A connection to no refused address: looked at when it stands, before anything is sent."""

    refuses: Refuses = staticmethod(is_refused_address)

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        if self.refuses(str(sock.getpeername()[0])):
            sock.close()
            raise NewConnectionError(self, REFUSED)
        return sock


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same below TLS."""


class _GuardedAdapter(HTTPAdapter):
    """Direct connections are guarded; behind a proxy the name is the proxy's to resolve."""

    def __init__(self, refuses: Refuses) -> None:
        rule = {"refuses": staticmethod(refuses)}
        plain, tls = type("Guarded", (_Guarded,), rule), type("GuardedTls", (_GuardedTls,), rule)
        self._pools = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools
