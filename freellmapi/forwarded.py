"""Whom a request comes from when it came through a proxy: believed from named proxies alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from freellmapi.settings import Network

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = re.compile(r"[0-9A-Za-z._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:[0-9]+)?|(?P<v4>[0-9.]+):[0-9]+")


class Forwarded:
    """Puts the client's address, scheme and host in place of the proxy's.

    ``X-Forwarded-For`` is read from its right end, where the nearest proxy wrote, as long as
    the addresses are proxies of ours: the first other one is the client, whatever it may have
    put further left itself. Of ``X-Forwarded-Proto`` and ``-Host``, the value that the
    outermost of those proxies wrote is taken.

    The headers stay in place: what came through a proxy never counts as from this machine.
    """

    def __init__(self, app: WSGIApplication, proxies: Iterable[Network]) -> None:
        self._app = app
        self._proxies = tuple(proxies)
        self._is_proxy = lru_cache(10_000)(self._named)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._is_proxy(environ.get("REMOTE_ADDR", "")):
            self._rewrite(environ)
        return self._app(environ, start_response)

    def _rewrite(self, environ: WSGIEnvironment) -> None:
        hops = 1
        for text in reversed(_parts(environ, "HTTP_X_FORWARDED_FOR")):
            address = parsed(text)
            if address is None:
                # A proxy that hides its client: all we know is the proxy.
                break
            environ["REMOTE_ADDR"] = str(address)
            environ.pop("REMOTE_PORT", None)
            if not self._is_proxy(str(address)):
                break
            hops += 1
        scheme = _of_hop(_parts(environ, "HTTP_X_FORWARDED_PROTO"), hops).lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        host = _of_hop(_parts(environ, "HTTP_X_FORWARDED_HOST"), hops)
        if _HOST.fullmatch(host):
            environ["HTTP_HOST"] = host

    def _named(self, peer: str) -> bool:
        address = parsed(peer)
        return address is not None and any(address in network for network in self._proxies)


def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address, with or without a port; IPv4 written as IPv6 is IPv4."""
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((match["v6"] or match["v4"]) if match else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def _parts(environ: WSGIEnvironment, name: str) -> list[str]:
    """The values of a list header, without blanks; several such headers arrive joined."""
    return [part.strip() for part in environ.get(name, "").split(",") if part.strip()]


def _of_hop(values: Sequence[str], hops: int) -> str:
    """What the outermost of our own proxies wrote; empty when nobody wrote anything."""
    return values[-min(hops, len(values))] if values else ""
