"""One provider's file of the catalog: its fields, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.limits import NO_LIMITS, Limits
from freellmapi.providers import catalog_fields as f
from freellmapi.providers.catalog_fields import CatalogError, Reader, read_table, require

STATUSES = ("live", "live_uncertain", "trial", "promo", "paid", "retired")
CONFIDENCE = ("official", "observed", "secondary", "guess", "none")

MODEL_FIELDS: Mapping[str, Reader] = {
    "id": f.text,
    "name": f.text,
    "family": f.matching(r"[a-z0-9][a-z0-9.-]*", "lower case letters, digits, dots and dashes"),
    "context": f.count,
    "max_output": f.count,
    "tools": f.flag,
    "tool_choice": f.flag,
    "vision": f.flag,
    "reasoning": f.flag,
    "json_schema": f.flag,
    "limits": f.limits,
    "intelligence_rank": f.count,
    "speed_rank": f.count,
    "status": f.one_of(
        "active", "uncertain", "unverified", "trial", "paid", "retired", "alias", "special"
    ),
    "enabled": f.flag,
    "source": f.text,
    "confidence": f.one_of(*CONFIDENCE),
    "notes": f.text,
    "quirks": f.quirk_changes,
}
_MODEL_DEFAULTS = {name: reader for name, reader in MODEL_FIELDS.items() if name != "id"}

provider_id = f.matching(r"[a-z0-9][a-z0-9_-]*", "lower case letters, digits, '-' and '_'")


def models_field(value: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list of tables")
    return tuple(_named(read_table(item, MODEL_FIELDS, _model_place(item))) for item in value)


def _model_place(item: object) -> str:
    name = item.get("id") if isinstance(item, Mapping) else None
    return f"[{name}]" if isinstance(name, str) else "[?]"


def _named(found: dict[str, Any]) -> dict[str, Any]:
    require(found, ("id",), "[?]")
    return found


PROVIDER_FIELDS: Mapping[str, Reader] = {
    "id": provider_id,
    "name": f.text,
    "status": f.one_of(*STATUSES),
    "base_url": lambda value: "" if value == "" else f.url(value),
    "alt_base_urls": f.list_of(f.url),
    "wire": f.one_of("openai", "gemini", "cohere"),
    "chat_path": f.matching(r"/\S*", "a path that begins with a slash"),
    "models_path": lambda value: "" if value == "" else f.path_or_url(value),
    "free_by_price": f.flag,
    "auth_header": f.text,
    "auth_format": f.matching(r".*\{key\}.*", "a text with {key} in it"),
    "headers": f.mapping_of(f.text),
    "env_vars": f.list_of(f.matching("[A-Z][A-Z0-9_]*", "an environment variable's name")),
    "key_fields": f.list_of(f.matching("[a-z_]+", "a name of lower case letters")),
    "key_url": f.url,
    "key_hint": f.text,
    "key_pattern": f.pattern,
    "keyless": f.flag,
    "anonymous_key": f.text,
    "account_limits": f.limits,
    "pool": f.one_of("key", "ip"),
    "reset_zone": f.zone,
    "ratelimit_headers": f.header_meanings,
    "first_byte_timeout": f.seconds,
    "quirks": f.quirks,
    "probe": f.probe,
    "model_defaults": f.table(_MODEL_DEFAULTS, lambda **found: found),
    "free_tier": f.text,
    "terms": f.text,
    "source": f.text,
    "checked": f.day,
    "local": f.flag,
    "models": models_field,
}
_REQUIRED = ("id", "name", "base_url", "status", "free_tier", "source", "checked")


def parse_provider(data: Mapping[str, Any], origin: str) -> tuple[Provider, tuple[Model, ...]]:
    """What stands in a provider's file. ``CatalogError`` names ``origin`` and the field."""
    found = read_table(data, PROVIDER_FIELDS, origin)
    require(found, _REQUIRED, origin)
    if origin != f"{found['id']}.toml" and origin.endswith(".toml"):
        raise CatalogError(f"{origin}.id", f"the file of '{found['id']}' is {found['id']}.toml")
    listed = found.pop("models", ())
    defaults = {"source": found["source"], **found.pop("model_defaults", {})}
    provider = Provider(**found, model_defaults=MappingProxyType(defaults))
    return provider, _unique([new_model(provider, fields) for fields in listed], origin)


def new_model(provider: Provider, fields: Mapping[str, Any]) -> Model:
    """A model of ``provider``, listed or discovered: its own fields over the provider's."""
    merged = {**provider.model_defaults, **fields}
    merged.setdefault("name", merged["id"])
    merged.setdefault("family", family_of(merged["id"]))
    default: Limits = provider.model_defaults.get("limits", NO_LIMITS)
    merged["limits"] = default.replaced(fields.get("limits", NO_LIMITS))
    return Model(provider=provider.id, **merged)


def family_of(model_id: str) -> str:
    """A family name from a provider's own id: ``openai/gpt-oss-120b:free`` -> ``gpt-oss-120b``."""
    return model_id.rsplit("/", 1)[-1].removesuffix(":free").replace(":", "-").lower()


def _unique(models: list[Model], origin: str) -> tuple[Model, ...]:
    seen: set[str] = set()
    for model in models:
        if model.id in seen:
            raise CatalogError(f"{origin}.models[{model.id}]", "listed twice")
        seen.add(model.id)
    return tuple(models)
