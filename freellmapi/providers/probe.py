"""Whether a key is good, by the cheapest request that its provider answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests

from freellmapi.core.catalog import KeyProbe, Provider
from freellmapi.core.clock import Clock
from freellmapi.core.errors import UpstreamError
from freellmapi.providers.classify import classify
from freellmapi.providers.endpoints import endpoint
from freellmapi.providers.origins import Proxies
from freellmapi.providers.redact import one_line

HEALTHY, RATE_LIMITED, INVALID, ERROR = "healthy", "rate_limited", "invalid", "error"

_TIMEOUTS = (5.0, 20.0)
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe found. ``error`` says nothing about the key: the probe itself failed."""

    status: str
    reason: str = ""


class Prober:
    """Probes keys, one request each. Follows no redirect: the key would go along."""

    def __init__(
        self, clock: Clock, proxies: Proxies, session: requests.Session | None = None
    ) -> None:
        self._clock = clock
        self._proxies = proxies
        self._session = session or requests.Session()
        # No .netrc and no proxies but those of the settings.
        self._session.trust_env = False

    def probe(self, provider: Provider, key: str | None) -> Verdict:
        """The verdict on ``key``, None standing for a provider's keyless use; never raises."""
        if not provider.base_url:
            return Verdict(ERROR, f"{provider.name} has no address to ask")
        probe = provider.probe or KeyProbe(provider.models_path or "/models")
        try:
            return self._judge(provider, probe, self._answer(provider, probe, key))
        except UpstreamError as exc:
            return Verdict(INVALID, exc.message)
        except (requests.RequestException, ValueError) as exc:
            return Verdict(ERROR, one_line(f"no answer: {_plain(exc)}"))

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def _answer(self, provider: Provider, probe: KeyProbe, key: str | None) -> _Answer:
        target = endpoint(provider, key)
        url = probe.path if "://" in probe.path else target.base_url + probe.path
        url = provider.filled(url, key) if key is not None else url
        parts = urlsplit(url)
        proxy = self._proxies.for_origin(parts.scheme, parts.hostname or "")
        with self._session.request(
            probe.method,
            url,
            headers=dict(target.headers),
            json=_one_token(probe.model) if probe.method == "POST" else None,
            timeout=_TIMEOUTS,
            allow_redirects=False,
            stream=True,
            proxies={parts.scheme: proxy} if proxy else {},
        ) as response:
            body = response.raw.read(_MOST_BYTES, decode_content=True)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return _Answer(response.status_code, headers, body, urljoin(url, "/"))

    def _judge(self, provider: Provider, probe: KeyProbe, answer: _Answer) -> Verdict:
        said = classify(answer.status, answer.headers, answer.body, provider, self._clock.now())
        if answer.status in probe.invalid or _marked(answer.body, probe.invalid_markers):
            return Verdict(INVALID, said.message)
        if answer.status == 429:
            return Verdict(RATE_LIMITED, said.message)
        if answer.status in probe.valid:
            return Verdict(HEALTHY)
        if 300 <= answer.status < 400:
            return Verdict(ERROR, f"{answer.origin} answers with a redirect")
        return Verdict(ERROR, f"status {answer.status}: {said.message}")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    origin: str


def _one_token(model: str) -> dict[str, object]:
    message = {"role": "user", "content": "Hi"}
    return {"model": model, "messages": [message], "max_tokens": 1}


def _marked(body: bytes, markers: tuple[str, ...]) -> bool:
    text = _squeezed(body.decode(errors="replace"))
    return any(_squeezed(marker) in text for marker in markers)


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text).casefold()


def _plain(exc: Exception) -> str:
    """A failure in a few words: urllib3's own name the objects in memory, and the URL."""
    if isinstance(exc, requests.exceptions.ProxyError):
        return "the proxy cannot be reached"
    if isinstance(exc, requests.exceptions.SSLError):
        return "its certificate cannot be trusted"
    if isinstance(exc, requests.Timeout):
        return "it took too long"
    if isinstance(exc, requests.ConnectionError):
        return "it cannot be reached"
    return str(exc)
