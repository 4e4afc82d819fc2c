"""Asks a provider which models it serves; and finds where an endpoint of one's own answers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from freellmapi.core.catalog import Provider
from freellmapi.core.clock import Clock
from freellmapi.core.errors import UpstreamError
from freellmapi.core.values import dataclass
from freellmapi.providers.classify import classify
from freellmapi.providers.guard import without_endpoint
from freellmapi.providers.model_list import Listed, Unreadable, next_page, parse_list
from freellmapi.providers.outbound import Outbound
from freellmapi.providers.redact import one_line

if TYPE_CHECKING:
    import requests

    from freellmapi.providers.control import Answer

MOST_BYTES = 16 * 1024 * 1024
MOST_PAGES = 20
_VERSION = re.compile(r"/v\d+[a-z0-9]*$")


class DiscoveryError(Exception):
    """The list could not be had: why, in a sentence. It proves nothing about any model."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Located:
    """Where an endpoint answers, and what it lists there."""

    base_url: str
    listed: tuple[Listed, ...] = ()
    note: str = ""
    """What was changed about the URL, if anything."""
    problem: str = ""
    """Why there is no list."""
    status: int | None = None
    """The HTTP status that stood in the way, if it was one."""


class Discoverer:
    """Asks for model lists, following their pages. Follows no redirect."""

    def __init__(
        self, clock: Clock, proxies: Outbound, session: requests.Session | None = None
    ) -> None:
        self._clock = clock
        self._proxies = proxies
        self._session = session

    def models(self, provider: Provider, key: str | None) -> tuple[Listed, ...]:
        """All models of the provider's list; ``DiscoveryError`` unless it is whole and not empty.

        ``key`` None asks without one.
        """
        if not provider.base_url or not provider.models_path:
            raise DiscoveryError(f"{provider.name} has no model list to ask for")
        found: dict[str, Listed] = {}
        path: str | None = provider.models_path
        for _ in range(MOST_PAGES):
            payload = self._page(provider, key, str(path))
            for model in _read(payload):
                found.setdefault(model.id, model)
            following = next_page(payload)
            if following is None:
                break
            path = _with_query(provider.models_path, *following)
        else:
            raise DiscoveryError(f"its list has more than {MOST_PAGES} pages")
        if not found:
            raise DiscoveryError("its list is empty")
        return tuple(found.values())

    def locate(self, provider: Provider, key: str | None) -> Located:
        """Where an OpenAI-compatible endpoint answers: its base URL as given, or with ``/v1``.

        Ollama's bare address speaks a protocol of its own and OpenAI's below ``/v1``; a URL
        copied with ``/chat/completions`` at its end is cut.
        """
        given = without_endpoint(provider.base_url)
        cut = "" if given == provider.base_url else f"the base URL is {given}"
        if _VERSION.search(given):
            return self._located(provider, key, given, cut)
        versioned = self._located(provider, key, f"{given}/v1", f"/v1 added: {given}/v1")
        if versioned.listed:
            return versioned
        bare = self._located(provider, key, given, cut)
        if bare.listed:
            return bare
        # A list that wants a key is there, where the other path is not.
        wants_key = versioned.status in (401, 403) and bare.status not in (401, 403)
        return versioned if wants_key else bare

    def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            self._session.close()

    def _located(self, provider: Provider, key: str | None, base_url: str, note: str) -> Located:
        try:
            return Located(base_url, self.models(replace(provider, base_url=base_url), key), note)
        except DiscoveryError as exc:
            return Located(base_url, note=note, problem=str(exc), status=exc.status)

    def _page(self, provider: Provider, key: str | None, path: str) -> object:
        # Here and not above, for the sake of those who never ask, see probe.py.
        from freellmapi.providers.control import ask, control_session, in_words

        self._session = self._session or control_session()
        try:
            answer = ask(self._session, self._proxies, provider, key, path, most_bytes=MOST_BYTES)
        except UpstreamError as exc:
            raise DiscoveryError(exc.message) from exc
        except (OSError, ValueError) as exc:
            raise DiscoveryError(in_words(exc)) from exc
        return self._payload(provider, answer)

    def _payload(self, provider: Provider, answer: Answer) -> object:
        if 300 <= answer.status < 400:
            raise DiscoveryError("it answers with a redirect, which is not followed", answer.status)
        if answer.status != 200:
            said = classify(answer.status, answer.headers, answer.body, provider, self._clock.now())
            raise DiscoveryError(one_line(f"status {answer.status}: {said.message}"), answer.status)
        try:
            return json.loads(answer.body)
        except ValueError as exc:
            raise DiscoveryError("its answer is not JSON") from exc


def _read(payload: object) -> tuple[Listed, ...]:
    try:
        return parse_list(payload)
    except Unreadable as exc:
        raise DiscoveryError(str(exc)) from exc


def _with_query(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    query = [(n, v) for n, v in parse_qsl(parts.query, keep_blank_values=True) if n != name]
    return parts._replace(query=urlencode([*query, (name, value)])).geturl()
