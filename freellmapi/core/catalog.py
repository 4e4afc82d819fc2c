"""Providers and models as the catalog describes them, and the catalog as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from freellmapi.core.limits import NO_LIMITS, Limits
from freellmapi.core.values import dataclass

QUIRK_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "empty_content_not_null": 'assistant messages carry "" where OpenAI has null',
        "flatten_content": "a content list that is text only becomes one string",
        "inline_images": "images at public addresses are fetched by us and sent as data URLs",
        "json_schema_as_object": "json_schema becomes json_object and an instruction",
        "json_word": "json_object comes with the word JSON in some message",
        "max_tokens_required": "an output cap is always sent",
        "merge_system": "no system role: its text is folded into the first user message",
        "nine_char_tool_ids": "tool call ids are exactly nine letters and digits",
        "no_empty_turns": "assistant turns that say nothing and call nothing are left out",
        "no_schema_with_tools_or_stream": "json_schema is degraded beside tools or a stream",
        "no_stream": "asked for whole answers only; we cut them into chunks",
        "no_stream_usage": "stream_options is never sent",
        "no_user_after_tool": "an assistant turn is put between a tool result and a user turn",
        "one_stop": "of several stops only the first is sent, as a text",
        "stop_as_list": "stop is always a list",
        "strip_schema": "$schema and additionalProperties leave the tools' schemas",
        "temperature_not_zero": "a temperature of 0 becomes the smallest the provider takes",
    }
)
"""The named behaviours of ``Quirks.flags``, and what each does to a request."""

GONE = "gone"
"""The status of a model that its provider no longer lists: never asked."""


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
    tool_choice: bool = True
    """Whether ``tool_choice`` "required" (or a named function) is honoured."""
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
    confidence: str = ""
    """How the caps are known: ``official``, ``observed``, ``secondary``, ``guess``, ``none``."""
    notes: str = ""
    quirks: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Additions to the provider's quirks for this model only, by the names in ``Quirks``:
    sets are added to (``-name`` takes away), mappings merged, ``allow`` replaced."""
    ref: str = field(init=False, repr=False, compare=False)
    """The name that means exactly this one: ``<provider>/<model id>``."""

    def __post_init__(self) -> None:
        # Made once: a small request asks for it eleven times.
        object.__setattr__(self, "ref", f"{self.provider}/{self.id}")


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a provider's requests differ from OpenAI's; applied in the order listed."""

    drop: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    set: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Fields sent whenever the client gave none (names as the provider has them); those of
    tool calling only beside tools. One that is dropped as well is always ours."""
    clamp: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """What a field may say, where only some of its values are taken: an effort becomes the
    nearest of them, anything else is left out."""
    allow: frozenset[str] | None = None
    """When stated, the only optional fields the provider takes (names as it has them)."""
    drop_in_messages: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    """Named behaviours of the wire: see ``QUIRK_FLAGS``."""


@dataclass(frozen=True, slots=True)
class KeyProbe:
    """The cheap request that proves a key, and what its answers mean.

    A status that is neither valid nor invalid proves nothing.
    """

    path: str
    """Joined to the base URL, or an absolute URL (with the key's parts, see ``key_fields``)."""
    method: str = "GET"
    model: str = ""
    """For a POST: the model of the one-token completion that is asked for."""
    valid: frozenset[int] = frozenset({200, 429})
    invalid: frozenset[int] = frozenset({401})
    invalid_markers: tuple[str, ...] = ()
    """Pieces of a body that mean a rejected key, whatever the status; compared without
    regard to case and white space."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One upstream: where it is, how it is spoken to, what it allows."""

    id: str
    name: str
    base_url: str
    """Where paths are joined to; ``{names}`` in it are parts of the key (``key_fields``).
    Empty: not running yet, so not to be asked."""
    alt_base_urls: tuple[str, ...] = ()
    """Other hosts of the same service, each with keys of its own."""
    wire: str = "openai"
    chat_path: str = "/chat/completions"
    models_path: str = "/models"
    """A path or an absolute URL; empty when there is no list worth reading."""
    free_by_price: bool = False
    """Whether its list has prices, and only models priced 0 are free."""
    auth_header: str = "Authorization"
    auth_format: str = "Bearer {key}"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    env_vars: tuple[str, ...] = ()
    """Alternatives, the first one set wins; with ``key_fields``, one for each part in order."""
    key_fields: tuple[str, ...] = ()
    """Names of the parts of a key written ``a:b``; the last part is the secret."""
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
    ratelimit_headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Response header (lower case) -> what it says: ``limit_<window>``, ``remaining_<window>``,
    ``reset_<window>:<unit>``, or ``reset:<unit>`` for whichever window was hit.

    Windows: rpm, rpd, tpm, tpd, month_requests, month_tokens. Units: ``duration`` (2m59.5s),
    ``seconds``, ``epoch`` (seconds), ``epoch_ms``, ``any`` (seconds, or epoch if that large).
    """
    first_byte_timeout: float | None = None
    """Seconds that a slow provider may need to its first token; None is not slow."""
    quirks: Quirks = field(default_factory=Quirks)
    probe: KeyProbe | None = None
    model_defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """``Model`` fields of every model, listed or discovered, that does not state its own."""
    status: str = "live"
    """live, live_uncertain, trial, promo, paid, retired, or user (a custom endpoint)."""
    free_tier: str = ""
    terms: str = ""
    source: str = ""
    checked: str = ""
    local: bool = False
    """On loopback or the LAN by the user's own wish: benched for our own reasons at most 5 s."""

    def key_parts(self, key: str) -> dict[str, str]:
        """The named parts of a key; ``{"key": key}`` for a key of one part.

        Raises ``ValueError``, without the key in it, when a part is missing.
        """
        names = self.key_fields or ("key",)
        parts = key.split(":", len(names) - 1)
        if len(parts) != len(names) or not all(parts):
            raise ValueError(f"a key for {self.name} has the form {':'.join(names)}")
        return dict(zip(names, parts, strict=True))

    def secret(self, key: str) -> str:
        """The part of ``key`` that goes into the auth header."""
        return self.key_parts(key)[self.key_fields[-1]] if self.key_fields else key

    def filled(self, url: str, key: str) -> str:
        """``url`` with each ``{part}`` taken from ``key``, all but the secret."""
        if not self.key_fields:
            return url
        parts = self.key_parts(key)
        for name in self.key_fields[:-1]:
            url = url.replace(f"{{{name}}}", quote(parts[name], safe=""))
        return url

    def env_ways(self) -> tuple[tuple[str, ...], ...]:
        """The sets of variables that can give a key, the preferred one first."""
        if self.key_fields:
            return (self.env_vars,) if self.env_vars else ()
        return tuple((name,) for name in self.env_vars)

    def env_key(self, environ: Mapping[str, str]) -> str | None:
        """The key as these variables give it, or None."""
        for way in self.env_ways():
            parts = [environ.get(name, "").strip() for name in way]
            if all(parts):
                return ":".join(parts)
        return None


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
