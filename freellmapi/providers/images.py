"""Images at public addresses, put into a request for those providers that fetch nothing.

Whoever may ask this gateway could otherwise make it read pages inside its own network. So
only http(s) addresses are fetched that are public after DNS, redirects included; only
pictures that are what they claim to be; and only so much, for so long.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import gevent
import requests
from urllib3.exceptions import HTTPError

from freellmapi import __version__
from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.control import control_session, in_words
from freellmapi.providers.guard import REFUSED, is_public_address
from freellmapi.providers.image_memory import ImageMemory
from freellmapi.providers.origins import Proxies
from freellmapi.providers.quirks import merged

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_REQUEST_BYTES = 20 * 1024 * 1024
"""All fetched images of one request together: about what Gemini takes."""
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


class _Failed(Exception):
    """Why an image was not fetched, as the end of a sentence."""


class Images:
    """Fetches images and remembers them for a while, for the next attempt or turn.

    ``is_public`` judges an address. With an outbound proxy set, nothing is fetched: the
    proxy would look names up itself, after any check of ours.
    """

    def __init__(
        self,
        clock: Clock,
        proxies: Proxies | None = None,
        is_public: Callable[[str], bool] = is_public_address,
    ) -> None:
        self._clock = clock
        self._proxies = proxies or Proxies()
        self._is_public = is_public
        self._memory = ImageMemory(clock)

    def inlined(self, chat: ChatRequest, provider: Provider, model: Model) -> ChatRequest:
        """``chat`` with data URLs where this provider could not follow a URL.

        ``UpstreamError`` (``REQUEST_REFUSED``, naming the host) when one cannot be fetched;
        another candidate may still take the URL itself. An endpoint on the user's own
        network gets such a URL as it is: it may reach what we must not.
        """
        if Need.VISION not in chat.needs or _follows_urls(provider, model):
            return chat
        urls = list(dict.fromkeys(_remote_urls(chat.body["messages"])))
        found = self._fetched(urls, lenient=provider.local)
        if not found:
            return chat
        messages = [_with_data(message, found) for message in chat.body["messages"]]
        return replace(chat, body={**chat.body, "messages": messages})

    def _fetched(self, urls: list[str], lenient: bool) -> dict[str, str]:
        """The data URL of each URL; without those that failed if ``lenient``."""
        fetch = _Fetch(self._clock, self._proxies, self._is_public)
        found: dict[str, str] = {}
        for url in urls:
            try:
                found[url] = self._one(url, fetch)
            except _Failed as exc:
                if not lenient:
                    raise UpstreamError(ErrorKind.REQUEST_REFUSED, _told(url, exc)) from exc
            if sum(map(len, found.values())) > MAX_REQUEST_BYTES * 4 // 3 + 1024:
                message = f"The images are more than {_mb(MAX_REQUEST_BYTES)} together."
                raise UpstreamError(ErrorKind.REQUEST_REFUSED, message)
        return found

    def _one(self, url: str, fetch: _Fetch) -> str:
        held = self._memory.of(url)
        if held is None:
            try:
                held = fetch.data_url(url), ""
            except _Failed as exc:
                held = "", str(exc)
            self._memory.keep(url, *held)
        data, failure = held
        if failure:
            raise _Failed(failure)
        return data


@dataclass(frozen=True, slots=True)
class _Reply:
    """A response's head, or the whole of it once the body is read."""

    location: str
    data_url: str = ""


class _Fetch:
    """The fetches of one request, under one deadline."""

    def __init__(self, clock: Clock, proxies: Proxies, is_public: Callable[[str], bool]) -> None:
        self._clock = clock
        self._proxies = proxies
        self._is_public = is_public
        self._deadline = clock.monotonic() + MAX_SECONDS

    def data_url(self, url: str) -> str:
        """The image at ``url``, redirects followed; ``_Failed`` says why there is none."""
        # The deadline between reads does not end a head that comes a byte at a time.
        timeout = gevent.Timeout(self._left())
        timeout.start()
        try:
            for _ in range(MAX_REDIRECTS + 1):
                reply = self._ask(url)
                if reply.data_url:
                    return reply.data_url
                url = urljoin(url, reply.location)
            raise _Failed("it redirects too often")
        except gevent.Timeout as exc:
            if exc is not timeout:
                raise
            raise _Failed("it took too long") from exc
        finally:
            timeout.close()

    def _ask(self, url: str) -> _Reply:
        self._check(url)
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
            except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
                raise _Failed(_in_words(exc)) from exc

    def _check(self, url: str) -> None:
        """Refuses before a connection is made; the session looks again at the one it has."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as exc:
            raise _Failed("its URL cannot be read") from exc
        if parts.scheme not in ("http", "https") or not host:
            raise _Failed("it is not on http:// or https://")
        if "@" in parts.netloc:
            raise _Failed("its URL holds a user name or password")
        if self._proxies.for_origin(parts.scheme, host):
            raise _Failed("with an outbound proxy images are not fetched: send a data: URL")
        if not all(map(self._is_public, _addresses(host, port or 443))):
            raise _Failed(NOT_PUBLIC)

    def _reply(self, response: requests.Response) -> _Reply:
        if response.status_code in _REDIRECTS and response.headers.get("Location"):
            return _Reply(response.headers["Location"])
        if response.status_code != 200:
            raise _Failed(f"it answers with status {response.status_code}")
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        kind = _SAME_TYPE.get(kind, kind)
        if kind not in ("image/png", "image/jpeg", "image/webp", "image/gif"):
            raise _Failed("it is no PNG, JPEG, WebP or GIF")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Failed("it came compressed, which was not asked for")
        body = self._body(response)
        if _kind_of(body) != kind:
            raise _Failed(f"it is not the {kind} that it claims to be")
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
            raise _Failed(f"it is larger than {_mb(MAX_IMAGE_BYTES)}, or empty")
        return bytes(body)

    def _left(self) -> float:
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise _Failed("it took too long")
        return left


def _follows_urls(provider: Provider, model: Model) -> bool:
    if provider.wire == "gemini" or provider.local:
        return False
    return "inline_images" not in merged(provider.quirks, model.quirks).flags


def _remote_urls(messages: list[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            url = _remote_url(part)
            if url is not None:
                yield url


def _remote_url(part: Any) -> str | None:
    """Where the image of a content part is, if it is not in the part itself."""
    image = part.get("image_url") if isinstance(part, dict) else None
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str) or url[:5].lower() == "data:":
        return None
    return url


def _with_data(message: Mapping[str, Any], found: Mapping[str, str]) -> Mapping[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [_part_with_data(part, found) for part in content]}


def _part_with_data(part: Any, found: Mapping[str, str]) -> Any:
    data = found.get(_remote_url(part) or "")
    if data is None:
        return part
    image = part["image_url"] if isinstance(part["image_url"], dict) else {}
    return {**part, "image_url": {**image, "url": data}}


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise _Failed("its host cannot be found") from exc
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


def _in_words(exc: Exception) -> str:
    words = in_words(exc)
    return NOT_PUBLIC if words == REFUSED else words


def _told(url: str, why: Exception) -> str:
    """The whole sentence. Of the URL only the host: the rest may hold a secret."""
    try:
        host = urlsplit(url).hostname or "?"
    except ValueError:
        host = "?"
    return f"The image on {host[:100]} was not fetched: {why}."


def _mb(size: int) -> str:
    return f"{size // (1024 * 1024)} MB"
