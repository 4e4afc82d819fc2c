"""Everything routing reads, immutable: replaced whole when the configuration changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from freellmapi.core.catalog import GONE, Catalog, Model
from freellmapi.core.route import Candidate
from freellmapi.core.values import dataclass
from freellmapi.router.settings import RouterSettings

ANONYMOUS = "anonymous"
"""The key id of a provider that is used without a key."""


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that may be used: its id, never the secret."""

    id: str
    provider: str
    label: str = ""
    usable: bool = True
    reason: str = ""
    """Why it is not usable."""
    enabled: bool = True
    """Whether the user wants it used."""
    status: str = "unchecked"
    """What is stored about it: one of ``storage.keys.STATUSES``."""
    checked_at: float | None = None
    """When that was found, in epoch seconds."""


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """One row of the fallback chain."""

    model: Model
    enabled: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Catalog, chain, keys and settings at one version."""

    version: int
    catalog: Catalog
    chain: tuple[ChainEntry, ...]
    keys: Mapping[str, tuple[LiveKey, ...]]
    settings: RouterSettings
    candidates: Mapping[str, tuple[Candidate, ...]]
    """Model ref -> one candidate for each usable key."""
    auto: tuple[Model, ...]
    """The enabled models of the chain, in order."""
    rank: Mapping[str, int]
    """Model ref -> place in the chain, 0 first."""

    @classmethod
    def of(
        cls,
        version: int,
        catalog: Catalog,
        chain: tuple[ChainEntry, ...],
        keys: Iterable[LiveKey],
        settings: RouterSettings,
    ) -> Snapshot:
        by_provider: dict[str, tuple[LiveKey, ...]] = {}
        for key in keys:
            by_provider[key.provider] = (*by_provider.get(key.provider, ()), key)
        candidates = {
            model.ref: tuple(
                Candidate.of(catalog.providers[model.provider], model, key.id)
                for key in by_provider.get(model.provider, ())
                if key.usable and model.status != GONE
            )
            for model in catalog.models
        }
        return cls(
            version=version,
            catalog=catalog,
            chain=chain,
            keys=MappingProxyType(by_provider),
            settings=settings,
            candidates=MappingProxyType(candidates),
            auto=tuple(
                entry.model for entry in chain if entry.enabled and entry.model.status != GONE
            ),
            rank=MappingProxyType({e.model.ref: place for place, e in enumerate(chain)}),
        )

    def is_rejected(self, model: Model) -> bool:
        """Whether the provider has refused every key that could be used for the model."""
        keys = [key for key in self.keys.get(model.provider, ()) if key.enabled]
        return bool(keys) and all(key.status == "invalid" for key in keys)

    def why_no_candidate(self, model: Model) -> str:
        """Why a model cannot be asked at all: it is gone, or has no usable key."""
        if model.status == GONE:
            return model.notes
        keys = self.keys.get(model.provider, ())
        if not keys:
            return f"no key for {model.provider}"
        return next((k.reason for k in keys if k.reason), f"no usable key for {model.provider}")


def merged_chain(catalog: Catalog, stored: Iterable[tuple[str, bool]]) -> tuple[ChainEntry, ...]:
    """The stored order, then the models that it does not know yet."""
    known = [ChainEntry(catalog.by_ref[ref], on) for ref, on in stored if ref in catalog.by_ref]
    seen = {entry.model.ref for entry in known}
    return (*known, *(ChainEntry(m, m.enabled) for m in catalog.models if m.ref not in seen))
