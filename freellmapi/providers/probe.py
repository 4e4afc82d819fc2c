"""Whether a key is good, by the cheapest request that its provider answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from freellmapi.core.catalog import KeyProbe, Provider
from freellmapi.core.clock import Clock
from freellmapi.core.errors import UpstreamError
from freellmapi.core.values import dataclass
from freellmapi.providers.classify import classify
from freellmapi.providers.outbound import Outbound
from freellmapi.providers.redact import one_line

if TYPE_CHECKING:
    import requests

    from freellmapi.providers.control import Answer

HEALTHY, RATE_LIMITED, INVALID, ERROR = "healthy", "rate_limited", "invalid", "error"

_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe found. ``error`` says nothing about the key: the probe itself failed."""

    status: str
    reason: str = ""
    credit: bool | None = None
    """Whether the account has credit; None where the probe cannot tell."""


def key_probe(provider: Provider) -> KeyProbe:
    """The request that proves a key of this provider: by default its list of models."""
    return provider.probe or KeyProbe(provider.models_path or "/models")


class Prober:
    """Probes keys, one request each. Follows no redirect: the key would go along."""

    def __init__(
        self, clock: Clock, proxies: Outbound, session: requests.Session | None = None
    ) -> None:
        self._clock = clock
        self._proxies = proxies
        self._session = session

    def probe(self, provider: Provider, key: str | None) -> Verdict:
        """The verdict on ``key``, None standing for a provider's keyless use; never raises."""
        # What it takes to ask costs 5 MiB, which not every process needs.
        from freellmapi.providers.control import in_words

        if not provider.base_url:
            return Verdict(ERROR, f"{provider.name} has no address to ask")
        probe = key_probe(provider)
        try:
            return self._judge(provider, probe, self._answer(provider, probe, key))
        except UpstreamError as exc:
            return Verdict(INVALID, exc.message)
        except (OSError, ValueError) as exc:
            return Verdict(ERROR, one_line(f"no answer: {in_words(exc)}"))

    def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            self._session.close()

    def _answer(self, provider: Provider, probe: KeyProbe, key: str | None) -> Answer:
        from freellmapi.providers.control import ask, control_session

        self._session = self._session or control_session()
        return ask(
            self._session,
            self._proxies,
            provider,
            key,
            probe.path,
            most_bytes=_MOST_BYTES,
            method=probe.method,
            json=_one_token(probe.model) if probe.method == "POST" else None,
        )

    def _judge(self, provider: Provider, probe: KeyProbe, answer: Answer) -> Verdict:
        said = classify(answer.status, answer.headers, answer.body, provider, self._clock.now())
        if answer.status in probe.invalid or _marked(answer.body, probe.invalid_markers):
            return Verdict(INVALID, said.message)
        if answer.status == 429:
            return Verdict(RATE_LIMITED, said.message)
        if answer.status in probe.valid:
            return Verdict(HEALTHY, credit=_credit(probe, answer.status))
        if 300 <= answer.status < 400:
            return Verdict(ERROR, f"{urljoin(answer.url, '/')} answers with a redirect")
        return Verdict(ERROR, f"status {answer.status}: {said.message}")


def tells_credit(probe: KeyProbe) -> bool:
    """Whether the answer depends on credit: the catalog knows a 402 of it."""
    return 402 in probe.valid


def _credit(probe: KeyProbe, status: int) -> bool | None:
    if status == 402:
        return False
    return True if status == 200 and tells_credit(probe) else None


def _one_token(model: str) -> dict[str, object]:
    message = {"role": "user", "content": "Hi"}
    return {"model": model, "messages": [message], "max_tokens": 1}


def _marked(body: bytes, markers: tuple[str, ...]) -> bool:
    text = _squeezed(body.decode(errors="replace"))
    return any(_squeezed(marker) in text for marker in markers)


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text).casefold()
