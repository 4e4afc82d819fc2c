"""One image fetched from the open internet, with every step of the way looked at."""

from __future__ import annotations

import socket
import sys
from base64 import b64encode
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import gevent

from freellmapi import __version__
from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.providers.guard import REFUSED
from freellmapi.providers.outbound import Outbound

if TYPE_CHECKING:
    import requests

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_SECONDS = 10.0
"""For all fetches of one request together."""
MAX_REDIRECTS = 3
NOT_PUBLIC = "its address is not a public one"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READ_BYTES = 65_536
_HEADERS = {
    "Accept": "image/png, image/jpeg, image/webp, image/gif",
    "Accept-Encoding": "identity",
    "User-Agent": f"freellmapi/{__version__}",
}
_SAME_TYPE = {"image/jpg": "image/jpeg"}


class FetchFailed(Exception):
    """Why an image was not fetched, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """A response's head, or the whole of it once the body is read."""

    location: str
    data_url: str = ""


class Fetch:
    """The fetches of one request, under one deadline."""

    def __init__(self, clock: Clock, proxies: Outbound, is_public: Callable[[str], bool]) -> None:
        self._clock = clock
        self._proxies = proxies
        self._is_public = is_public
        self._deadline = clock.monotonic() + MAX_SECONDS

    def data_url(self, url: str) -> str:
        """The image at ``url``, redirects followed; ``FetchFailed`` says why there is none."""
        # The deadline between reads does not end a head that comes a byte at a time.
        timeout = gevent.Timeout(self._left())
        timeout.start()
        try:
            for _ in range(MAX_REDIRECTS + 1):
                reply = self._ask(url)
                if reply.data_url:
                    return reply.data_url
                url = urljoin(url, reply.location)
            raise FetchFailed("it redirects too often")
        except gevent.Timeout as exc:
            if exc is not timeout:
                raise
            raise FetchFailed("it took too long") from exc
        finally:
            timeout.close()

    def _ask(self, url: str) -> _Reply:
        self._check(url)
        _load()
        from urllib3.exceptions import HTTPError

        from freellmapi.providers.control import control_session

        left = self._left()
        # A session of its own for each: no cookie, and no connection, goes from one to another.
        with control_session(lambda address: not self._is_public(address)) as session:
            try:
                with session.get(
                    url,
                    headers=_HEADERS,
                    timeout=(min(left, 5.0), left),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    return self._reply(response)
            except (HTTPError, OSError, ValueError) as exc:
                raise FetchFailed(_in_words(exc)) from exc

    def _check(self, url: str) -> None:
        """Refuses before a connection is made; the session looks again at the one it has."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as exc:
            raise FetchFailed("its URL cannot be read") from exc
        if parts.scheme not in ("http", "https") or not host:
            raise FetchFailed("it is not on http:// or https://")
        if "@" in parts.netloc:
            raise FetchFailed("its URL holds a user name or password")
        if self._proxies.for_origin(parts.scheme, host):
            raise FetchFailed("with an outbound proxy images are not fetched: send a data: URL")
        if not all(map(self._is_public, _addresses(host, port or 443))):
            raise FetchFailed(NOT_PUBLIC)

    def _reply(self, response: requests.Response) -> _Reply:
        if response.status_code in _REDIRECTS and response.headers.get("Location"):
            return _Reply(response.headers["Location"])
        if response.status_code != 200:
            raise FetchFailed(f"it answers with status {response.status_code}")
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        kind = _SAME_TYPE.get(kind, kind)
        if kind not in ("image/png", "image/jpeg", "image/webp", "image/gif"):
            raise FetchFailed("it is no PNG, JPEG, WebP or GIF")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchFailed("it came compressed, which was not asked for")
        body = self._body(response)
        if _kind_of(body) != kind:
            raise FetchFailed(f"it is not the {kind} that it claims to be")
        return _Reply("", f"data:{kind};base64,{b64encode(body).decode()}")

    def _body(self, response: requests.Response) -> bytes:
        length = response.headers.get("Content-Length", "0")
        body = bytearray()
        if length.isdigit() and int(length) <= MAX_IMAGE_BYTES:
            # What is there is taken as it comes: a full buffer may be waited for too long.
            while piece := response.raw.read1(_READ_BYTES):
                body += piece
                self._left()
                if len(body) > MAX_IMAGE_BYTES:
                    break
        if not body or len(body) > MAX_IMAGE_BYTES:
            raise FetchFailed(f"it is larger than {megabytes(MAX_IMAGE_BYTES)}, or empty")
        return bytes(body)

    def _left(self) -> float:
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise FetchFailed("it took too long")
        return left


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise FetchFailed("its host cannot be found") from exc
    return [str(info[4][0]) for info in found]


def _kind_of(body: bytes) -> str:
    """What a file is by its first bytes; empty if it is none of the four."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if body[:4] == b"RIFF" and body[8:12] == b"WEBP" else ""


def _load() -> None:
    """What it takes to fetch: 5 MiB and a tenth of a second, for which nobody else is held up."""
    if "requests" not in sys.modules:
        control = "freellmapi.providers.control"
        gevent.get_hub().threadpool.apply(import_module, (control,))


def _in_words(exc: Exception) -> str:
    from freellmapi.providers.control import in_words

    words = in_words(exc)
    return NOT_PUBLIC if words == REFUSED else words


def megabytes(size: int) -> str:
    return f"{size // (1024 * 1024)} MB"
