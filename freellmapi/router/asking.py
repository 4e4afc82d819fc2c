"""One probe, from the secret to the verdict, with what it costs counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from freellmapi.core.catalog import Provider
from freellmapi.core.clock import Clock
from freellmapi.core.errors import UpstreamError
from freellmapi.core.route import Candidate, Reservation
from freellmapi.providers.probe import ERROR, INVALID, RATE_LIMITED, Verdict, key_probe
from freellmapi.router.ledger import Ledger
from freellmapi.router.snapshot import ANONYMOUS, LiveKey, Snapshot

PROBE_TOKENS = 16
"""What a probe that is a completion reserves."""

T = TypeVar("T")


class Configured(Protocol):
    """The live configuration."""

    @property
    def snapshot(self) -> Snapshot: ...

    def secret(self, provider: str, key_id: str) -> str | None: ...


class Probes(Protocol):
    """What asks a provider about a key; blocks."""

    def probe(self, provider: Provider, key: str | None) -> Verdict: ...

    def close(self) -> None: ...


class OffHub(Protocol):
    """Runs what blocks where it holds up nobody, and waits for it.

    Raises ``TimeoutError`` when that takes longer than a job may.
    """

    def __call__(self, job: Callable[[], T]) -> T: ...


def costs_nothing(provider: Provider, key: LiveKey) -> bool:
    """Whether a key may be probed with no cause: a list read with a key of the user's."""
    return key.id != ANONYMOUS and key_probe(provider).method == "GET"


class Asking:
    """Asks providers about keys."""

    def __init__(
        self,
        configuration: Configured,
        prober: Probes,
        ledger: Ledger,
        clock: Clock,
        off_hub: OffHub,
    ) -> None:
        self._configuration = configuration
        self._prober = prober
        self._ledger = ledger
        self._clock = clock
        self._off_hub = off_hub

    def verdict(self, provider: Provider, key_id: str) -> Verdict | None:
        """What the provider says of the key; None when a cap leaves no room to ask."""
        held, fits = self._reserve(provider, key_id)
        if not fits:
            return None
        spent = True
        try:
            verdict = self._off_hub(lambda: self._ask(provider, key_id))
            spent = verdict.status not in (INVALID, RATE_LIMITED) and verdict.credit is not False
        except TimeoutError:
            return Verdict(ERROR, "no answer: it took too long")
        finally:
            if held is not None:
                self._ledger.settle(held, None, spent=spent)
        return verdict

    def _reserve(self, provider: Provider, key_id: str) -> tuple[Reservation | None, bool]:
        """(what is held, whether there is room); only a completion takes from the caps."""
        probe = key_probe(provider)
        catalog = self._configuration.snapshot.catalog
        model = catalog.by_ref.get(f"{provider.id}/{probe.model}")
        if probe.method != "POST" or model is None:
            return None, True
        buckets = Candidate.of(provider, model, key_id).buckets
        held = self._ledger.reserve(buckets, PROBE_TOKENS, self._clock.now())
        return held, held is not None

    def _ask(self, provider: Provider, key_id: str) -> Verdict:
        """The probe itself, off the hub."""
        try:
            secret = self._configuration.secret(provider.id, key_id)
        except UpstreamError as exc:
            # The key cannot be read here: that is not the provider's word on it.
            return Verdict(ERROR, exc.message)
        try:
            return self._prober.probe(provider, secret)
        finally:
            # gevent's sockets belong to the thread that opened them, and the next probe
            # may be in another one.
            self._prober.close()
