"""Images at public addresses, put into a request for those providers that fetch nothing.

Whoever may ask this gateway could otherwise make it read pages inside its own network. So
only http(s) addresses are fetched that are public after DNS, redirects included; only
pictures that are what they claim to be; and only so much, for so long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.guard import is_public_address
from freellmapi.providers.image_fetch import Fetch, FetchFailed, megabytes
from freellmapi.providers.image_memory import ImageMemory
from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import Outbound
from freellmapi.providers.quirks import merged

MAX_REQUEST_BYTES = 20 * 1024 * 1024
"""All fetched images of one request together: about what Gemini takes."""


class Images:
    """Fetches images and remembers them for a while, for the next attempt or turn.

    ``is_public`` judges an address. With an outbound proxy set, nothing is fetched: the
    proxy would look names up itself, after any check of ours.
    """

    def __init__(
        self,
        clock: Clock,
        proxies: Outbound | None = None,
        is_public: Callable[[str], bool] = is_public_address,
    ) -> None:
        self._clock = clock
        self._proxies: Outbound = proxies or Proxies()
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
        fetch = Fetch(self._clock, self._proxies, self._is_public)
        found: dict[str, str] = {}
        for url in urls:
            try:
                found[url] = self._one(url, fetch)
            except FetchFailed as exc:
                if not lenient:
                    raise UpstreamError(ErrorKind.REQUEST_REFUSED, _told(url, exc)) from exc
            if sum(map(len, found.values())) > MAX_REQUEST_BYTES * 4 // 3 + 1024:
                message = f"The images are more than {megabytes(MAX_REQUEST_BYTES)} together."
                raise UpstreamError(ErrorKind.REQUEST_REFUSED, message)
        return found

    def _one(self, url: str, fetch: Fetch) -> str:
        held = self._memory.of(url)
        if held is None:
            try:
                held = fetch.data_url(url), ""
            except FetchFailed as exc:
                held = "", str(exc)
            self._memory.keep(url, *held)
        data, failure = held
        if failure:
            raise FetchFailed(failure)
        return data


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


def _told(url: str, why: Exception) -> str:
    """The whole sentence. Of the URL only the host: the rest may hold a secret."""
    try:
        host = urlsplit(url).hostname or "?"
    except ValueError:
        host = "?"
    return f"The image on {host[:100]} was not fetched: {why}."
