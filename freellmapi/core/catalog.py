"""Providers and models as the catalog describes them, and the catalog as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from freellmapi.core.limits import NO_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class Model:
    """One model as one provider serves it."""

    provider: str
    id: str
    name: str
    family: str
    context: int | None = None
    max_output: int | None = None
    tools: bool = False
    vision: bool = False
    reasoning: bool = False
    json_schema: bool = True
    limits: Limits = NO_LIMITS
    intelligence_rank: int = 100
    speed_rank: int = 10
    status: str = "active"
    enabled: bool = True
    """Whether it is in the chain of a new installation."""
    source: str = ""
    notes: str = ""
    quirks: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Overrides of the provider's quirks for this model only (same names)."""

    @property
    def ref(self) -> str:
        """The name that means exactly this one: ``<provider>/<model id>``."""
        return f"{self.provider}/{self.id}"


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a provider's requests differ from OpenAI's; applied in the order listed."""

    drop: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    set: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Fields sent whenever the client gave none."""
    clamp: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    allow: frozenset[str] | None = None
    """When stated, the only optional fields the provider takes."""
    drop_in_messages: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    """Named behaviours of the wire, e.g. ``flatten_content``, ``short_tool_ids``."""


@dataclass(frozen=True, slots=True)
class KeyProbe:
    """The cheap request that proves a key, and what its answers mean."""

    path: str
    method: str = "GET"
    valid: frozenset[int] = frozenset({200, 429})
    invalid: frozenset[int] = frozenset({401})


@dataclass(frozen=True, slots=True)
class Provider:
    """One upstream: where it is, how it is spoken to, what it allows."""

    id: str
    name: str
    base_url: str
    wire: str = "openai"
    chat_path: str = "/chat/completions"
    models_path: str = "/models"
    auth_header: str = "Authorization"
    auth_format: str = "Bearer {key}"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    env_vars: tuple[str, ...] = ()
    key_url: str = ""
    key_hint: str = ""
    key_pattern: str | None = None
    keyless: bool = False
    anonymous_key: str | None = None
    """What is sent as the key when there is none; None sends no auth header at all."""
    account_limits: Limits = NO_LIMITS
    """Caps over all models of one key (or address, when keyless)."""
    pool: str = "key"
    """What the account caps count: ``key`` or ``ip``."""
    reset_zone: str = "UTC"
    first_byte_timeout: float | None = None
    quirks: Quirks = field(default_factory=Quirks)
    probe: KeyProbe | None = None
    status: str = "live"
    free_tier: str = ""
    terms: str = ""
    source: str = ""
    checked: str = ""
    local: bool = False
    """On loopback or the LAN by the user's own wish: benched for our own reasons at most 5 s."""


class Catalog:
    """All providers and models, immutable, with the look-ups that routing needs."""

    def __init__(self, providers: Iterable[Provider], models: Iterable[Model]) -> None:
        self.providers: Mapping[str, Provider] = MappingProxyType({p.id: p for p in providers})
        self.models: tuple[Model, ...] = tuple(models)
        self.by_ref: Mapping[str, Model] = MappingProxyType({m.ref: m for m in self.models})
        by_name: dict[str, list[Model]] = {}
        for model in self.models:
            by_name.setdefault(model.family, []).append(model)
        self.families: Mapping[str, tuple[Model, ...]] = MappingProxyType(
            {name: tuple(found) for name, found in by_name.items()}
        )
        by_id: dict[str, list[Model]] = {}
        for model in self.models:
            by_id.setdefault(model.id, []).append(model)
        self.by_id: Mapping[str, tuple[Model, ...]] = MappingProxyType(
            {name: tuple(found) for name, found in by_id.items()}
        )
