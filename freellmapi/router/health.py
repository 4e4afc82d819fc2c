"""Which keys are good: told by live calls, and by probes where there are none to tell.

Requests only leave notes in memory here. What blocks (the probe itself, the writing of a
status that has changed) is left to ``run_once``, a background job.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from random import Random

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.clock import Clock
from freellmapi.core.errors import Bench, ErrorKind, UpstreamError
from freellmapi.core.route import Candidate
from freellmapi.core.values import dataclass
from freellmapi.providers.probe import (
    HEALTHY,
    INVALID,
    RATE_LIMITED,
    Verdict,
    key_probe,
    tells_credit,
)
from freellmapi.router.asking import Asking, Configured, OffHub, Probes, costs_nothing
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.key_health import LET_IN, KeyHealth
from freellmapi.router.ledger import Ledger
from freellmapi.router.snapshot import LiveKey
from freellmapi.router.status_writer import Name, StatusStore, StatusWriter

log = logging.getLogger(__name__)

SPACING = 10.0
"""Seconds at least between two probes of one provider."""
MOST_PER_ROUND = 4
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class KeyState:
    """What is known about a key; ``told_at`` in epoch seconds."""

    status: str
    reason: str
    told_at: float
    rejected: bool
    """Whether it is not asked until a probe or the user clears it."""


class Health:
    """The health of every key of this process; all but ``off_hub`` jobs run on the hub."""

    def __init__(
        self,
        configuration: Configured,
        store: StatusStore,
        prober: Probes,
        cooldowns: Cooldowns,
        ledger: Ledger,
        clock: Clock,
        rng: Random,
        off_hub: OffHub,
    ) -> None:
        self._statuses = StatusWriter(store, off_hub)
        self._asking = Asking(configuration, prober, ledger, clock, off_hub)
        self._configuration = configuration
        self._cooldowns = cooldowns
        self._clock = clock
        self._rng = rng
        self._known: dict[Name, KeyHealth] = {}
        self._rows: dict[Name, LiveKey] = {}
        """The keys as the configuration had them when it was last looked at."""
        self._probed_at: dict[str, float] = {}
        self._running = False
        self.reconfigured()

    def answered(self, candidate: Candidate) -> None:
        """A live call was answered: cheap, for every request comes by here."""
        name = (candidate.provider.id, candidate.key_id)
        health = self._known.get(name)
        if health is not None:
            before = health.status
            health.answered(self._clock.now())
            if health.status != before:
                self._statuses.note(name)

    def failed(self, candidate: Candidate, error: UpstreamError) -> None:
        """A live call failed, and what it speaks for is benched already."""
        name = (candidate.provider.id, candidate.key_id)
        health = self._known.get(name)
        if health is None:
            return
        now = self._clock.now()
        if error.kind is ErrorKind.KEY_REJECTED and error.bench in (None, Bench.KEY):
            before = health.status
            health.refused(now, error.message, live=True)
            if health.status != before:
                self._statuses.note(name)
        elif error.kind is ErrorKind.OUT_OF_CREDIT:
            health.let_in(now)
            health.in_debt = tells_credit(key_probe(candidate.provider))
        elif error.kind in LET_IN:
            health.let_in(now)

    def reconfigured(self) -> None:
        """The configuration has changed: new keys, and what somebody else found or cleared."""
        now = self._clock.now()
        rows = {
            (key.provider, key.id): key
            for keys in self._configuration.snapshot.keys.values()
            for key in keys
        }
        known: dict[Name, KeyHealth] = {}
        for name, key in rows.items():
            health, before = self._known.get(name), self._rows.get(name)
            if health is None or before is None or _changed(before, key, health):
                health = self._fresh(key, now)
                if key.usable:
                    self._cooldowns.clear(_bench_name(key), ErrorKind.KEY_REJECTED)
            known[name] = health
        self._known, self._rows = known, rows

    def state(self, provider: str, key_id: str) -> KeyState | None:
        """What is known about a key, those of the environment included."""
        health = self._known.get((provider, key_id))
        if health is None:
            return None
        return KeyState(health.status, health.reason, health.told_at, health.rejected)

    def run_once(self, probing: bool = True) -> int:
        """Probe what is due, one after the other and a few at most, and write what changed.

        Returns how many were probed. With ``probe_interval`` 0 none is, nor unless ``probing``:
        one of several processes does it for all.
        """
        if self._running:
            return 0
        self._running = True
        try:
            probed = 0
            while probing and probed < MOST_PER_ROUND and (key := self._next()) is not None:
                self._probe(key)
                probed += 1
            self._write()
            return probed
        finally:
            self._running = False

    def _next(self) -> LiveKey | None:
        """The key whose probe is overdue the longest."""
        snapshot, now = self._configuration.snapshot, self._clock.now()
        interval = snapshot.settings.probe_interval
        due: list[tuple[float, Name]] = []
        for name, key in self._rows.items() if interval else ():
            provider = snapshot.catalog.providers.get(key.provider)
            if provider is None or not provider.base_url or not key.enabled:
                continue
            if now - self._probed_at.get(provider.id, float("-inf")) < SPACING:
                continue
            at = self._known[name].due_at(interval, costs_nothing(provider, key))
            if at is not None and at <= now:
                due.append((at, name))
        return self._rows[min(due)[1]] if due else None

    def _probe(self, key: LiveKey) -> None:
        name = (key.provider, key.id)
        health, started = self._known[name], self._clock.now()
        provider = self._configuration.snapshot.catalog.providers[key.provider]
        self._probed_at[provider.id] = started
        told_at = health.told_at
        verdict = self._asking.verdict(provider, key.id)
        # What live calls or the user have said meanwhile is newer than this verdict.
        if self._known.get(name) is not health or health.told_at != told_at:
            return
        if verdict is None:
            health.told_at = self._clock.now()
        else:
            self._take(key, provider, health, verdict)

    def _take(self, key: LiveKey, provider: Provider, health: KeyHealth, verdict: Verdict) -> None:
        """Note a verdict, and bench or lift what it speaks for."""
        now, before = self._clock.now(), health.status
        was_rejected = health.rejected
        health.probed(verdict, now)
        health.jitter = self._rng.uniform(1 - JITTER, 1 + JITTER)
        if health.status == INVALID and before != INVALID:
            self._bench(key, provider, ErrorKind.KEY_REJECTED, verdict.reason)
        elif was_rejected and not health.rejected:
            self._cooldowns.clear(_bench_name(key), ErrorKind.KEY_REJECTED)
        if verdict.status == RATE_LIMITED and not health.rejected:
            self._bench(key, provider, ErrorKind.RATE_LIMITED, verdict.reason)
        self._take_credit(key, provider, health, verdict.credit)
        self._statuses.note((key.provider, key.id))
        if health.status != before:
            log.log(
                logging.INFO if health.status in (HEALTHY, RATE_LIMITED) else logging.WARNING,
                "key checked provider=%s key=%s status=%s reason=%s",
                key.provider,
                key.id,
                health.status,
                health.reason,
            )

    def _take_credit(
        self, key: LiveKey, provider: Provider, health: KeyHealth, credit: bool | None
    ) -> None:
        if credit is False:
            health.status, health.reason = RATE_LIMITED, "out of credit"
            # A bench that is in force already is not lengthened by looking at it again.
            if not health.in_debt:
                self._bench(key, provider, ErrorKind.OUT_OF_CREDIT, "out of credit")
            health.in_debt = True
        elif credit:
            health.in_debt = False
            self._cooldowns.clear(_bench_name(key), ErrorKind.OUT_OF_CREDIT)

    def _bench(self, key: LiveKey, provider: Provider, kind: ErrorKind, reason: str) -> None:
        """Keep live calls from a key that a probe has found wanting."""
        any_model = Model(provider.id, "", "", "")
        whole_key = Candidate(provider, any_model, key.id, (), {Bench.KEY: _bench_name(key)})
        self._cooldowns.failed(whole_key, UpstreamError(kind, reason, bench=Bench.KEY))

    def _write(self) -> None:
        for name, status in self._statuses.flush(self._current):
            row = self._rows.get(name)
            if row is not None:
                # When the configuration shows it next, it is no news.
                self._rows[name] = replace(row, status=status)

    def _current(self, name: Name) -> tuple[str, str] | None:
        health = self._known.get(name)
        return None if health is None else (health.status, health.reason)

    def _fresh(self, key: LiveKey, now: float) -> KeyHealth:
        """What is stored about a key, as a beginning."""
        told_at = now if key.checked_at is None else min(key.checked_at, now)
        jitter = self._rng.uniform(1 - JITTER, 1 + JITTER)
        return KeyHealth(told_at, key.status, jitter=jitter)


def _changed(before: LiveKey, now: LiveKey, health: KeyHealth) -> bool:
    """Whether somebody else has checked, cleared or enabled the key."""
    enabled = now.enabled and not before.enabled
    return enabled or now.status not in (before.status, health.status)


def _bench_name(key: LiveKey) -> str:
    return f"key {key.provider}/{key.id}"
