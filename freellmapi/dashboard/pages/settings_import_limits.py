"""The ``[[limits]]`` of a configuration file: caps of the owner's own accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from freellmapi.core.catalog import Catalog
from freellmapi.dashboard.pages.settings_undo import Change, Found
from freellmapi.providers.catalog import with_custom, with_limits
from freellmapi.providers.catalog_fields import CatalogError
from freellmapi.router.config_file import ConfigFile
from freellmapi.services import Services

Entry = Mapping[str, Any]
_WHOM = ("provider", "model")


def changes(parts: Services, file: ConfigFile, passed_over: list[str]) -> Found:
    """A change for each entry that says another cap than is in force."""
    if not file.limits:
        return
    catalog = _with_brought(parts.configuration.snapshot.catalog, file)
    now = {_whom(entry): dict(entry) for entry in parts.configuration.given.limits}
    now |= {_whom(entry): dict(entry) for entry in parts.config.limits()}
    for entry in {_whom(entry): entry for entry in file.limits}.values():
        before = now.get(_whom(entry))
        if before == dict(entry):
            continue
        try:
            with_limits(catalog, (entry,))
        except CatalogError as exc:
            passed_over.append(f"{exc}.".replace("limits[1]", f"The limits of {name(entry)}", 1))
            continue
        said = caps(before) if before else "as stated by the provider"
        yield Change(f"limits of {name(entry)}", said, caps(entry), _put(parts, entry))


def name(entry: Entry) -> str:
    """Whose caps they are: ``groq``, or one model of it."""
    return "/".join(str(entry[part]) for part in _WHOM if entry.get(part))


def caps(entry: Entry) -> str:
    """``rpm 30, rpd 1,000``."""
    given = ((k, v) for k, v in entry.items() if k not in _WHOM)
    return ", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in given)


def _put(parts: Services, entry: Entry) -> Callable[[], dict[str, Any]]:
    def put() -> dict[str, Any]:
        stored = parts.config.limits()
        before = next((dict(e) for e in stored if _whom(e) == _whom(entry)), None)
        kept = [e for e in stored if _whom(e) != _whom(entry)]
        parts.config.put_limits([*kept, entry])
        return {"limits": list(_whom(entry)), "before": before}

    return put


def _whom(entry: Entry) -> tuple[str, str]:
    return str(entry["provider"]), str(entry.get("model") or "")


def _with_brought(catalog: Catalog, file: ConfigFile) -> Catalog:
    """With the endpoints that the same file brings."""
    for provider in file.providers:
        definition = {k: v for k, v in provider.items() if k not in ("id", "key")}
        try:
            catalog = with_custom(catalog, {str(provider["id"]): definition})
        except CatalogError:
            continue  # It is passed over itself, with its reason.
    return catalog
