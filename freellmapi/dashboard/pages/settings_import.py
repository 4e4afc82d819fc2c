"""A configuration file brought in: what would change, then the change, in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.in_force import in_force
from freellmapi.dashboard.pages import settings_import_limits as limits
from freellmapi.dashboard.pages.settings_import_keys import keys
from freellmapi.dashboard.pages.settings_import_proxy import proxy
from freellmapi.dashboard.pages.settings_routing import shown
from freellmapi.dashboard.pages.settings_undo import Change, Found, remember
from freellmapi.providers.catalog import NO_KEY, STORED_KEY, load_catalog, with_custom
from freellmapi.providers.catalog_fields import CatalogError
from freellmapi.router.config_file import ConfigFile, parse_text
from freellmapi.router.settings import RouterSettings
from freellmapi.services import Services
from freellmapi.storage.config import ChainRow
from freellmapi.storage.keys import DuplicateKey

LONGEST = 500_000
NO_FILE = "Choose a file, or paste a configuration."


@dataclass(frozen=True, slots=True)
class Plan:
    changes: tuple[Change, ...]
    passed_over: tuple[str, ...]
    """A sentence for each entry that would do nothing, and why."""


def plan(parts: Services, text: str) -> Plan:
    """What the text would change. ``GatewayError`` 422 at ``text``."""
    file = _read(text)
    return parts.off_hub(lambda: _planned(parts, file))


def bring_in(parts: Services, text: str) -> tuple[str, ...]:
    """Makes all the changes or none, and remembers how to take them back: what changed."""
    file = _read(text)

    def write() -> tuple[str, ...]:
        parts.configuration.refresh()
        with parts.database.as_one():
            changes = _planned(parts, file).changes
            records = [change.apply() for change in changes]
            if changes:
                remember(parts, changes, records)
        return tuple(change.what for change in changes)

    try:
        return in_force(parts, write)
    except DuplicateKey as exc:
        said = f"{exc} Nothing was imported: look again what would change."
        raise GatewayError(409, said, code="duplicate_key") from exc


def decoded(data: bytes) -> str:
    """The text of a file that was chosen. ``GatewayError`` 422 at ``text``."""
    try:
        return data[: 4 * LONGEST].decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _wrong("This file is not text in UTF-8, so it is no configuration.") from exc


def _read(text: str) -> ConfigFile:
    if not text.strip():
        raise _wrong(NO_FILE)
    if len(text) > LONGEST:
        raise _wrong(f"This is longer than {LONGEST:,} characters: no configuration is.")
    try:
        return parse_text(text)
    except ValueError as exc:
        raise _wrong(f"This is not TOML: {exc}.") from exc


def _planned(parts: Services, file: ConfigFile) -> Plan:
    passed_over = list(file.problems)
    changes = [
        *_providers(parts, file, passed_over),
        *keys(parts, file, passed_over),
        *limits.changes(parts, file, passed_over),
        *_chain(parts, file, passed_over),
        *_settings(parts, file, passed_over),
        *proxy(parts, file, passed_over),
    ]
    return Plan(tuple(changes), tuple(dict.fromkeys(passed_over)))


def _settings(parts: Services, file: ConfigFile, passed_over: list[str]) -> Found:
    now = parts.configuration.snapshot.settings
    _, problems = RouterSettings().merged(file.settings)
    passed_over += problems
    stored = parts.config.settings()
    for name, value in file.settings.items():
        if RouterSettings().merged({name: value})[1] or getattr(now, name) == value:
            continue
        record = {"setting": name, "before": stored.get(name)}
        before = shown(getattr(now, name))
        yield Change(name, before, shown(value), _setting(parts, {name: value}, record))


def _setting(
    parts: Services, values: Mapping[str, Any], record: dict[str, Any]
) -> Callable[[], dict[str, Any]]:
    def put() -> dict[str, Any]:
        parts.config.put_settings(values)
        return record

    return put


def _chain(parts: Services, file: ConfigFile, passed_over: list[str]) -> Iterator[Change]:
    if file.chain is None:
        return
    snapshot = parts.configuration.snapshot
    brought = {p["id"] for p in file.providers}
    known = {model.ref for model in snapshot.catalog.models}
    wanted = [ref for ref in file.chain if ref in known or ref.partition("/")[0] in brought]
    passed_over += [
        f"{ref} is not a model that is known here." for ref in file.chain if ref not in wanted
    ]
    now = [entry.model.ref for entry in snapshot.chain if entry.enabled]
    if not wanted or wanted == now:
        return
    # Models that come with the file are off as well when its chain leaves them out.
    there = dict.fromkeys([*(entry.model.ref for entry in snapshot.chain), *_brought(file)])
    others = [ref for ref in there if ref not in set(wanted)]
    rows = [ChainRow(ref, True) for ref in wanted] + [ChainRow(ref, False) for ref in others]

    def put() -> dict[str, Any]:
        before = [[row.ref, row.enabled] for row in parts.config.chain()]
        parts.config.put_chain(rows)
        return {"chain": before}

    yield Change("chain", _models(now), _models(wanted), put)


def _brought(file: ConfigFile) -> Iterator[str]:
    for provider in file.providers:
        models = provider.get("models", ())
        for model in models if isinstance(models, (list, tuple)) else ():
            if isinstance(model, dict):
                yield f"{provider['id']}/{model.get('id')}"


def _providers(parts: Services, file: ConfigFile, passed_over: list[str]) -> Found:
    built_in = load_catalog()
    stored = parts.config.custom_providers()
    from_file = {str(p["id"]): _definition(p) for p in parts.configuration.given.providers}
    for entry in file.providers:
        id, definition = str(entry["id"]), _definition(entry)
        if _without_key((from_file | stored).get(id)) == _without_key(definition):
            continue
        try:
            with_custom(built_in, {id: definition})
        except CatalogError as exc:
            passed_over.append(f"{exc}.")
            continue
        before = str((from_file | stored).get(id, {}).get("base_url", "none"))
        after = str(definition.get("base_url", ""))
        record = {"provider": id, "before": stored.get(id)}
        yield Change(f"endpoint {id}", before, after, _provider(parts, id, definition, record))


def _provider(
    parts: Services, id: str, definition: Mapping[str, Any], record: dict[str, Any]
) -> Callable[[], dict[str, Any]]:
    def put() -> dict[str, Any]:
        parts.config.put_custom_provider(id, definition)
        return record

    return put


def _definition(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Without its secret, which goes to the key store."""
    found = {name: value for name, value in entry.items() if name not in ("id", "key")}
    key = entry.get("key")
    if key == NO_KEY:
        found["key"] = NO_KEY
    elif key is not None:
        found["key"] = STORED_KEY
    return found


def _without_key(definition: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What is compared: an export leaves out that a key is stored."""
    if definition is None:
        return None
    return {k: v for k, v in definition.items() if k not in ("id", "key") or v == NO_KEY}


def _models(refs: list[str]) -> str:
    n = "1 model" if len(refs) == 1 else f"{len(refs)} models"
    return f"{n}: {', '.join(refs[:2])}{' …' if len(refs) > 2 else ''}" if refs else "no models"


def _wrong(message: str) -> GatewayError:
    return GatewayError(422, message, code="invalid_value", param="text")
