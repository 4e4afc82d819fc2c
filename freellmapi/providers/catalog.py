"""The catalog: ``catalog/<provider>.toml``, one file a provider, with the user's own changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from freellmapi.core.catalog import Catalog, Model, Provider
from freellmapi.core.limits import NO_LIMITS, Limits
from freellmapi.providers import catalog_fields as f
from freellmapi.providers.catalog_fields import CatalogError, Reader, read_table, require
from freellmapi.providers.catalog_file import (
    family_of,
    models_field,
    new_model,
    parse_provider,
    provider_id,
)
from freellmapi.providers.default_order import default_order_key
from freellmapi.providers.guard import check_base_url
from freellmapi.providers.toml_file import read_kept

__all__ = [
    "CatalogError",
    "build_catalog",
    "family_of",
    "load_catalog",
    "new_model",
    "parse_provider",
    "ranked_model",
    "with_base_urls",
    "with_custom",
    "with_limits",
]

NO_KEY, STORED_KEY = "none", "stored"
"""What ``key`` of a custom endpoint says: it wants none, or has one in the key store."""
CUSTOM_RANK = 50
"""The intelligence rank of a custom model that the catalog does not know: in the middle."""

# What a [[providers]] entry may say; `key` belongs to the key store and is passed over here,
# but for "none", which says that the endpoint wants no key.
_CUSTOM_FIELDS: Mapping[str, Reader] = {
    "id": provider_id,
    "name": f.text,
    "base_url": check_base_url,
    "key": f.text,
    "models": models_field,
    "limits": f.limits,
    "headers": f.mapping_of(f.text),
    "quirks": f.quirks,
    "reset_zone": f.zone,
    "first_byte_timeout": f.seconds,
}
_OVERRIDE_FIELDS: Mapping[str, Reader] = {"provider": f.text, "model": f.text, **f.LIMITS}


@lru_cache(maxsize=1)
def load_catalog() -> Catalog:
    """The built-in catalog, read once."""
    providers: list[Provider] = []
    models: list[Model] = []
    for path in sorted(Path(__file__).with_name("catalog").glob("*.toml")):
        provider, its_models = parse_provider(read_kept(path), path.name)
        providers.append(provider)
        models.extend(its_models)
    return build_catalog(providers, models)


def build_catalog(providers: Iterable[Provider], models: Iterable[Model]) -> Catalog:
    """A catalog whose models stand in the default order of the chain."""
    known = {p.id: p for p in providers}
    ordered = sorted(models, key=lambda m: default_order_key(m, known[m.provider]))
    return Catalog(known.values(), ordered)


def with_custom(catalog: Catalog, definitions: Mapping[str, Mapping[str, Any]]) -> Catalog:
    """The catalog with the user's own endpoints, and changes to built-in providers, by id.

    ``CatalogError`` names the entry that is wrong; the catalog given is not changed.
    """
    providers = dict(catalog.providers)
    models = {model.ref: model for model in catalog.models}
    for name, definition in definitions.items():
        where = f"providers[{name}]"
        found = read_table({**definition, "id": name}, _CUSTOM_FIELDS, where)
        known = providers.get(name)
        provider = _custom(found, where) if known is None else _changed(known, found)
        providers[name] = provider
        for fields in found.get("models", ()):
            old = models.get(f"{name}/{fields['id']}")
            model = ranked_model(catalog, provider, fields) if old is None else _merged(old, fields)
            models[model.ref] = model
    return build_catalog(providers.values(), models.values())


def with_limits(catalog: Catalog, overrides: Iterable[Mapping[str, Any]]) -> Catalog:
    """The catalog under the caps of the user's own account (``[[limits]]`` entries).

    An entry without ``model`` speaks of the whole key. ``CatalogError`` names a bad one.
    """
    providers = dict(catalog.providers)
    models = {model.ref: model for model in catalog.models}
    for number, override in enumerate(overrides, 1):
        where = f"limits[{number}]"
        found = read_table(override, _OVERRIDE_FIELDS, where)
        require(found, ("provider",), where)
        provider, model = found.pop("provider"), found.pop("model", None)
        if provider not in providers:
            raise CatalogError(f"{where}.provider", f"no provider '{provider}'")
        caps = Limits(**found)
        if model is None:
            old = providers[provider]
            providers[provider] = replace(old, account_limits=old.account_limits.replaced(caps))
            continue
        ref = f"{provider}/{model}"
        if ref not in models:
            raise CatalogError(f"{where}.model", f"{provider} has no model '{model}'")
        models[ref] = replace(models[ref], limits=models[ref].limits.replaced(caps))
    return build_catalog(providers.values(), models.values())


def with_base_urls(catalog: Catalog, base_urls: Mapping[str, str]) -> Catalog:
    """The catalog with other origins for some providers (a mirror, a gateway, a test).

    Lists and probes that stand at absolute URLs move to the new origin too, so that no key
    goes to a host which the user has replaced.
    """
    providers = dict(catalog.providers)
    for name, value in base_urls.items():
        if name not in providers:
            raise CatalogError(f"base URL for '{name}'", "there is no such provider")
        try:
            providers[name] = _moved(providers[name], check_base_url(value))
        except ValueError as exc:
            raise CatalogError(f"base URL for '{name}'", str(exc)) from exc
    return Catalog(providers.values(), catalog.models)


def _custom(found: Mapping[str, Any], where: str) -> Provider:
    require(found, ("base_url",), where)
    local = is_private(found["base_url"])
    key = found.get("key")
    return Provider(
        id=found["id"],
        name=found.get("name", found["id"]),
        base_url=found["base_url"],
        headers=found.get("headers", MappingProxyType({})),
        keyless=key == NO_KEY or (key is None and local),
        account_limits=found.get("limits", NO_LIMITS),
        reset_zone=found.get("reset_zone", "UTC"),
        first_byte_timeout=found.get("first_byte_timeout"),
        quirks=found.get("quirks", Provider("", "", "").quirks),
        model_defaults=MappingProxyType({"source": "your own settings", "tools": True}),
        status="user",
        local=local,
    )


def _changed(provider: Provider, found: Mapping[str, Any]) -> Provider:
    if "base_url" in found:
        provider = _moved(provider, found["base_url"])
    return replace(
        provider,
        name=found.get("name", provider.name),
        headers=MappingProxyType({**provider.headers, **found.get("headers", {})}),
        account_limits=provider.account_limits.replaced(found.get("limits", NO_LIMITS)),
        reset_zone=found.get("reset_zone", provider.reset_zone),
        first_byte_timeout=found.get("first_byte_timeout", provider.first_byte_timeout),
        quirks=found.get("quirks", provider.quirks),
    )


def _moved(provider: Provider, base_url: str) -> Provider:
    probe = provider.probe
    return replace(
        provider,
        base_url=base_url,
        alt_base_urls=(),
        models_path=_at_origin_of(base_url, provider.models_path),
        probe=probe and replace(probe, path=_at_origin_of(base_url, probe.path)),
    )


def _at_origin_of(base_url: str, url: str) -> str:
    if not url.startswith(("http://", "https://")):
        return url
    origin, target = urlsplit(base_url), urlsplit(url)
    return target._replace(scheme=origin.scheme, netloc=origin.netloc).geturl()


def ranked_model(catalog: Catalog, provider: Provider, fields: Mapping[str, Any]) -> Model:
    """A model with the rank of its family, where the catalog knows the family."""
    model = new_model(provider, fields)
    family = catalog.families.get(model.family)
    rank = family[0].intelligence_rank if family else CUSTOM_RANK
    return model if "intelligence_rank" in fields else replace(model, intelligence_rank=rank)


def _merged(model: Model, fields: Mapping[str, Any]) -> Model:
    limits = model.limits.replaced(fields.get("limits", NO_LIMITS))
    return replace(model, **{**fields, "limits": limits})


def is_private(url: str) -> bool:
    """Whether a URL names this machine or the LAN. Names are not resolved."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith((".localhost", ".local", ".lan", ".internal")):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_private and not address.is_link_local and not address.is_unspecified
