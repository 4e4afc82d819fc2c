"""What the page Keys shows, as ready values: one row a provider, its keys and models in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.pages.keys_meter import blocked_until, left_of, left_of_account
from freellmapi.dashboard.pages.keys_values import (
    Group,
    KeyRow,
    KeysPage,
    ModelRow,
    ProviderRow,
    State,
    limits_text,
)
from freellmapi.router.configuration import ENV
from freellmapi.router.counter import NEVER
from freellmapi.router.quota import AccountQuota, ModelQuota, ProviderQuota
from freellmapi.router.snapshot import ANONYMOUS, LiveKey
from freellmapi.services import Services
from freellmapi.storage.keys import StoredKey
from freellmapi.storage.last_used import was_ever_served
from freellmapi.storage.vault import mask

_STATES = {
    "healthy": ("healthy", "healthy"),
    "rate_limited": ("limited", "limited"),
    "invalid": ("invalid", "refused"),
    "error": ("error", "could not be checked"),
    "unchecked": ("unknown", "not checked yet"),
}
_NOT_FREE = ("paid", "retired")
_GROUPS = {
    "used": "With your keys",
    "keyless": "Usable without a key",
    "free": "Free with a key",
    "rest": "No free tier at present",
}


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is not in memory."""

    keys: Mapping[str, StoredKey]
    used: Mapping[tuple[str, str], float]
    custom: Collection[str]
    served: bool


def keys_page(parts: Services, opened: Collection[str] = ()) -> KeysPage:
    """The page now; the models of ``opened`` providers are in it, too."""
    stored = parts.off_hub(lambda: _read(parts))
    quotas = {quota.provider: quota for quota in parts.gateway.meter.read().providers}
    reader = _Reader(parts, stored, quotas, opened)
    providers = parts.configuration.snapshot.catalog.providers.values()
    rows = [reader.row(provider) for provider in providers]
    groups = (
        Group(id, title, tuple(row for row in rows if row.group == id))
        for id, title in _GROUPS.items()
    )
    clients = parts.configuration.clients.values()
    return KeysPage(
        tuple(group for group in groups if group.rows),
        next((client.mask for client in clients if client.name == "unified"), ""),
        any(key.id != ANONYMOUS and key.enabled for row in rows for key in row.keys),
        stored.served,
        tuple(
            (p.id, p.name, p.key_pattern or "", p.key_hint)
            for p in providers
            if p.base_url or p.status == "user"
        ),
    )


def _read(parts: Services) -> _Stored:
    return _Stored(
        {str(key.id): key for key in parts.keys.all()},
        parts.last_used.read(parts.database, parts.clock.now()),
        frozenset(parts.config.custom_providers()),
        was_ever_served(parts.database),
    )


class _Reader:
    def __init__(
        self,
        parts: Services,
        stored: _Stored,
        quotas: Mapping[str, ProviderQuota],
        opened: Collection[str],
    ) -> None:
        self._parts = parts
        self._stored = stored
        self._quotas = quotas
        self._opened = opened
        self._now = parts.clock.now()
        self._benches = parts.gateway.tools.cooldowns.entries()
        self._models: dict[str, list[Model]] = {}
        for model in parts.configuration.snapshot.catalog.models:
            self._models.setdefault(model.provider, []).append(model)

    def row(self, provider: Provider) -> ProviderRow:
        quota = self._quotas.get(provider.id)
        live = self._parts.configuration.snapshot.keys.get(provider.id, ())
        keys = tuple(self._key(key, quota) for key in live)
        is_open = provider.id in self._opened
        models = self._models.get(provider.id, [])
        return ProviderRow(
            provider,
            _group(provider, live),
            _state(keys, live, quota),
            keys,
            left_of(quota) if quota else None,
            limits_text(provider.account_limits),
            len(models),
            tuple(self._model_rows(models, quota)) if is_open else (),
            is_open,
            provider.id in self._stored.custom,
        )

    def _key(self, key: LiveKey, quota: ProviderQuota | None) -> KeyRow:
        stored = self._stored.keys.get(key.id)
        known = self._parts.health.state(key.provider, key.id)
        told_at = stored.checked_at if stored else None
        if known is not None and known.status != "unchecked":
            told_at = max(known.told_at, told_at or 0.0)
        account = _account_of(key.id, quota)
        return KeyRow(
            key.id,
            self._mask(key, stored),
            _label(key, stored),
            self._key_state(key, stored),
            stored is not None,
            key.enabled,
            told_at,
            self._stored.used.get((key.provider, key.id)),
            left_of_account(account) if account and key.usable else None,
        )

    def _mask(self, key: LiveKey, stored: StoredKey | None) -> str:
        if stored is not None:
            return stored.mask
        if key.id == ANONYMOUS:
            return ""
        try:
            return mask(self._parts.configuration.secret(key.provider, key.id) or "")
        except UpstreamError:
            return ""

    def _key_state(self, key: LiveKey, stored: StoredKey | None) -> State:
        if not key.enabled:
            return State("off", "disabled")
        known = self._parts.health.state(key.provider, key.id)
        status = known.status if known else key.status
        if key.status == "invalid":
            status = "invalid"
        if not key.usable and status != "invalid":
            return State("off", "not usable", key.reason)
        why = known.reason if known else ""
        if not why and stored is not None and stored.status == status:
            why = stored.status_reason
        bench = self._benches.get(f"key {key.provider}/{key.id}")
        if bench is not None and bench.until > self._now:
            if bench.kind is ErrorKind.KEY_REJECTED:
                return State("invalid", "refused", why or bench.reason)
            until = None if bench.until == NEVER else bench.until
            return State("limited", "limited", bench.reason, until)
        kind, word = _STATES[status]
        if key.id == ANONYMOUS and status == "unchecked":
            word = "no key needed"
        return State(kind, word, why)

    def _model_rows(self, models: list[Model], quota: ProviderQuota | None) -> Iterator[ModelRow]:
        on = {model.ref for model in self._parts.configuration.snapshot.auto}
        counted: dict[str, list[ModelQuota]] = {}
        for account in quota.accounts if quota else ():
            for found in account.models:
                counted.setdefault(found.model, []).append(found)
        for model in models:
            yield ModelRow(
                model.id,
                model.ref in on,
                limits_text(model.limits),
                model.confidence if model.confidence not in ("", "none") else "",
                _model_state(counted.get(model.ref, [])),
            )


def _group(provider: Provider, keys: tuple[LiveKey, ...]) -> str:
    if provider.status == "user" or any(key.id != ANONYMOUS for key in keys):
        return "used"
    if keys:
        return "keyless"
    return "rest" if provider.status in _NOT_FREE else "free"


def _label(key: LiveKey, stored: StoredKey | None) -> str:
    if stored is not None:
        return stored.label
    if key.id == ANONYMOUS:
        return "without a key"
    return f"{key.id.removeprefix(ENV)}, from the environment"


def _account_of(key_id: str, quota: ProviderQuota | None) -> AccountQuota | None:
    accounts = quota.accounts if quota else ()
    return next((a for a in accounts if any(k.key == key_id for k in a.keys)), None)


def _state(
    keys: tuple[KeyRow, ...], live: tuple[LiveKey, ...], quota: ProviderQuota | None
) -> State:
    """The provider's: of its best key, unless all its models are waited for."""
    if not keys:
        return State("off", "no key")
    usable = [row.state for row, key in zip(keys, live, strict=True) if key.usable]
    blocked = blocked_until(quota) if quota else None
    if usable and blocked is not None and all(state.kind != "invalid" for state in usable):
        return State("limited", "limited", blocked[1], blocked[0])
    order = ("healthy", "limited", "unknown", "error", "invalid", "off")
    return min(usable or [row.state for row in keys], key=lambda state: order.index(state.kind))


def _model_state(found: list[ModelQuota]) -> State | None:
    """None while one of the keys is free to be asked, and where there is none."""
    states = []
    for quota in found:
        if quota.bench is not None:
            states.append(State("limited", "waits", quota.bench.reason, quota.bench.until))
        elif quota.closed_until is not None:
            states.append(State("limited", "used up", "", quota.closed_until))
        else:
            return None
    return states[0] if states else None
