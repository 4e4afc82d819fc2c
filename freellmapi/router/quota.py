"""What is left of every stated cap, when it resets, and when it will run out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import ErrorKind
from freellmapi.core.route import Candidate
from freellmapi.core.values import dataclass
from freellmapi.router.counter import NEVER
from freellmapi.router.judge import Picture
from freellmapi.router.snapshot import LiveKey
from freellmapi.router.tally import REQUESTS, Tally, Window, windows

KEPT = 1.0
"""Seconds for which a reading is shown again: many pages may ask at once."""
_BY_DAY = ("rpd", "tpd")
_BY_MINUTE = ("rpm", "tpm")
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Benched:
    """A bench that keeps a model out; ``until`` None: until it is cleared."""

    until: float | None
    kind: ErrorKind
    reason: str


@dataclass(frozen=True, slots=True)
class ModelQuota:
    """One model on one account; without windows its caps are not known."""

    model: str
    enabled: bool
    """Whether it is on in the chain."""
    windows: tuple[Window, ...]
    closed_until: float | None
    """Until when the provider itself said that nothing is left."""
    bench: Benched | None


@dataclass(frozen=True, slots=True)
class AccountKey:
    """A key as people know it: its label or mask, never the secret."""

    key: str
    label: str
    usable: bool
    reason: str


@dataclass(frozen=True, slots=True)
class AccountQuota:
    """What counts together: one key, or all keys of a provider that counts by address."""

    keys: tuple[AccountKey, ...]
    windows: tuple[Window, ...]
    """Over all its models."""
    closed_until: float | None
    models: tuple[ModelQuota, ...]


@dataclass(frozen=True, slots=True)
class ProviderQuota:
    """One provider's accounts."""

    provider: str
    name: str
    reset_zone: str
    """Where its days and months begin."""
    accounts: tuple[AccountQuota, ...]


@dataclass(frozen=True, slots=True)
class Today:
    """All keys together. What is left counts the models that are on, by their caps of the day.

    A month's cap that no day's cap divides counts with the even share of the days that are left.
    """

    requests_used: int
    tokens_used: int
    requests_left: int
    tokens_left: int
    requests_unlimited: int
    """Models on keys that state no such cap of requests: they can do more than is counted."""
    tokens_unlimited: int


@dataclass(frozen=True, slots=True)
class Quota:
    """All caps at ``at`` (epoch seconds), the providers in the order of the catalog."""

    at: float
    today: Today
    providers: tuple[ProviderQuota, ...]


class Meter:
    """Reads the quota, at most once a second."""

    def __init__(self, picture: Callable[[], Picture]) -> None:
        self._picture = picture
        self._last: tuple[int, Quota] | None = None

    def read(self) -> Quota:
        """The quota now, or as it was up to a second ago under the same configuration."""
        picture = self._picture()
        now, version = picture.clock.now(), picture.snapshot.version
        last = self._last
        if last is None or last[0] != version or not 0 <= now - last[1].at < KEPT:
            last = self._last = (version, quota(picture))
        return last[1]


def quota(picture: Picture) -> Quota:
    """What is left of every cap of every key, used or not. Changes nothing."""
    now, snapshot = picture.clock.now(), picture.snapshot
    grouped: dict[str, dict[str, list[Candidate]]] = {}
    for of_model in snapshot.candidates.values():
        for candidate in of_model:
            accounts = grouped.setdefault(candidate.provider.id, {})
            accounts.setdefault(_account(candidate.provider, candidate.key_id), []).append(
                candidate
            )
    reading = _Reading(picture, now, frozenset(model.ref for model in snapshot.auto))
    providers = tuple(
        reading.provider(provider, grouped.get(provider.id, {}), snapshot.keys[provider.id])
        for provider in snapshot.catalog.providers.values()
        if snapshot.keys.get(provider.id)
    )
    return Quota(now, reading.today(), providers)


def _account(provider: Provider, key_id: str) -> str:
    return "ip" if provider.pool == "ip" else key_id


@dataclass(slots=True)
class _Left:
    """What is left today of one kind, requests or tokens."""

    total: int = 0
    unlimited: int = 0

    def add(self, account: int | None, models: Iterable[int | None]) -> None:
        """One account's models: each has its own cap, and the account one over them all."""
        stated, unlimited = 0, 0
        for left in models:
            if left is None:
                unlimited += 1
            else:
                stated += left
        if account is not None:
            stated = account if unlimited else min(account, stated)
            unlimited = 0
        self.total += stated
        self.unlimited += unlimited


@dataclass(slots=True)
class _Reading:
    """Goes through the accounts, and adds up what is used and left."""

    picture: Picture
    now: float
    enabled: frozenset[str]
    used_requests: int = 0
    used_tokens: int = 0
    requests: _Left = field(default_factory=_Left)
    tokens: _Left = field(default_factory=_Left)

    def today(self) -> Today:
        return Today(
            self.used_requests,
            self.used_tokens,
            self.requests.total,
            self.tokens.total,
            self.requests.unlimited,
            self.tokens.unlimited,
        )

    def provider(
        self,
        provider: Provider,
        accounts: dict[str, list[Candidate]],
        keys: Sequence[LiveKey],
    ) -> ProviderQuota:
        shown: dict[str, list[AccountKey]] = {}
        for key in keys:
            of_account = shown.setdefault(_account(provider, key.id), [])
            of_account.append(AccountKey(key.id, key.label, key.usable, key.reason))
        found = tuple(
            self._account(tuple(of_account), accounts.get(name, ()))
            for name, of_account in shown.items()
        )
        return ProviderQuota(provider.id, provider.name, provider.reset_zone, found)

    def _account(
        self, keys: tuple[AccountKey, ...], candidates: Sequence[Candidate]
    ) -> AccountQuota:
        shared: Tally | None = None
        if candidates and len(candidates[0].buckets) > 1:
            shared = self.picture.ledger.tally(candidates[0].buckets[1], self.now)
        # By address, every key of it leads to the same counter.
        by_bucket = {candidate.buckets[0].name: candidate for candidate in candidates}
        models = tuple(self._model(candidate) for candidate in by_bucket.values())
        over_all = tuple(windows(shared, self.now)) if shared else ()
        closed = self._closed(shared) if shared else None
        live = [m for m in models if m.enabled]
        if live:
            for is_requests, left in ((True, self.requests), (False, self.tokens)):
                whole = 0 if closed else self._left(over_all, is_requests)
                left.add(whole, [self._left_of(model, is_requests) for model in live])
        return AccountQuota(keys, over_all, closed, models)

    def _model(self, candidate: Candidate) -> ModelQuota:
        tally = self.picture.ledger.tally(candidate.buckets[0], self.now)
        self.used_requests += tally.day.requests
        self.used_tokens += tally.day.tokens
        entry = self.picture.cooldowns.blocking(candidate, self.now)
        bench = None
        if entry is not None:
            until = None if entry.until == NEVER else entry.until
            bench = Benched(until, entry.kind, entry.reason)
        return ModelQuota(
            candidate.ref,
            candidate.ref in self.enabled,
            tuple(windows(tally, self.now)),
            self._closed(tally),
            bench,
        )

    def _closed(self, tally: Tally) -> float | None:
        return tally.closed_until if tally.closed_until > self.now else None

    def _left_of(self, model: ModelQuota, is_requests: bool) -> int | None:
        """Nothing where a bench lasts as long as the day does."""
        bench, ends_at = model.bench, self._day_ends_at(model)
        if bench is not None and (bench.until is None or bench.until >= ends_at):
            return 0
        return self._left(model.windows, is_requests)

    def _day_ends_at(self, model: ModelQuota) -> float:
        days = [w.resets_at for w in model.windows if w.window in _BY_DAY]
        return min(days, default=self.now + 43_200.0)

    def _left(self, of: tuple[Window, ...], is_requests: bool) -> int | None:
        """What the caps of day and month leave for today, or None if there are none."""
        found: int | None = None
        of_month: Window | None = None
        for window in of:
            if window.window in _BY_MINUTE or (window.window in REQUESTS) is not is_requests:
                continue
            if window.window not in _BY_DAY:
                of_month = window
            elif found is None or window.left < found:
                found = window.left
        if of_month is None:
            return found
        if found is not None:
            return min(found, of_month.left)
        # A whole month's worth, called today's, would drown what the days really allow.
        days = max(1, math.ceil((of_month.resets_at - self.now) / _DAY))
        return math.ceil(of_month.left / days)
