"""Endpoints of one's own, added on the page Keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timezone
from typing import Any

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.in_force import in_force
from freellmapi.providers.catalog import NO_KEY, STORED_KEY, CatalogError, with_custom
from freellmapi.providers.changes import compare, taken_over
from freellmapi.providers.discover import Discoverer, Located
from freellmapi.providers.guard import REFUSED, check_base_url
from freellmapi.services import Services
from freellmapi.storage.keys import DuplicateKey

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """As it was filled in; ``models`` are ids, none to ask the endpoint for them."""

    id: str
    base_url: str
    name: str = ""
    key: str = ""
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Added:
    id: str
    base_url: str
    models: int
    note: str


def add_endpoint(parts: Services, wanted: Endpoint) -> Added:
    """Asks the endpoint for its models and keeps it; nothing is stored when it gives none.

    Raises ``GatewayError`` at the field that is wrong.
    """
    definition = _definition(parts, wanted)
    provider = _defined(parts, wanted.id, definition)
    with closing(Discoverer(parts.clock, parts.proxies)) as discoverer:
        try:
            found = parts.off_hub(lambda: discoverer.locate(provider, wanted.key or None))
        except TimeoutError as exc:
            raise _wrong("base_url", "It did not answer in a minute.") from exc
    if found.problem == REFUSED:
        raise _wrong("base_url", f"{REFUSED[0].upper()}{REFUSED[1:]}.")
    if not found.listed and not wanted.models:
        field = "key" if found.status in (401, 403) else "base_url"
        raise _wrong(
            field,
            f"{found.base_url} gives no list of models: {found.problem}. Nothing was stored; "
            "if it has no such list, name its models below.",
        )
    definition["base_url"] = found.base_url
    in_force(parts, lambda: _store(parts, wanted, definition, found))
    models = parts.configuration.snapshot.catalog.models
    count = sum(model.provider == wanted.id for model in models)
    return Added(wanted.id, found.base_url, count, found.note)


def _definition(parts: Services, wanted: Endpoint) -> dict[str, Any]:
    if not _ID.fullmatch(wanted.id):
        raise _wrong("id", "Use small letters, digits and dashes, at most 40: lab, my-ollama.")
    if wanted.id in parts.configuration.snapshot.catalog.providers:
        raise _wrong("id", f"There is a provider {wanted.id} already. Choose another id.")
    try:
        base_url = check_base_url(wanted.base_url)
    except ValueError as exc:
        raise _wrong("base_url", f"{str(exc)[0].upper()}{str(exc)[1:]}.") from exc
    definition: dict[str, Any] = {
        "base_url": base_url,
        "key": STORED_KEY if wanted.key else NO_KEY,
    }
    if wanted.name:
        definition["name"] = wanted.name
    if wanted.models:
        definition["models"] = [{"id": model} for model in wanted.models]
    return definition


def _defined(parts: Services, id: str, definition: Mapping[str, Any]) -> Provider:
    try:
        return with_custom(parts.configuration.snapshot.catalog, {id: definition}).providers[id]
    except CatalogError as exc:
        raise _wrong("base_url", f"{exc}.") from exc


def _store(
    parts: Services, wanted: Endpoint, definition: Mapping[str, Any], found: Located
) -> None:
    if wanted.key:
        try:
            parts.keys.add(wanted.id, wanted.key)
        except DuplicateKey as exc:
            parts.keys.set_enabled(exc.existing.id, True)
    parts.config.put_custom_provider(wanted.id, definition)
    parts.config.delete_discovered(wanted.id)
    if wanted.models:
        return
    catalog = with_custom(parts.configuration.snapshot.catalog, {wanted.id: definition})
    provider = catalog.providers[wanted.id]
    today = datetime.fromtimestamp(parts.clock.now(), timezone.utc).date().isoformat()
    changes = compare(
        provider, [m for m in catalog.models if m.provider == wanted.id], found.listed
    )
    parts.config.put_discovered(wanted.id, taken_over({}, provider, changes, today))


def _wrong(param: str, message: str) -> GatewayError:
    return GatewayError(422, message, code="invalid_value", param=param)
