"""A configuration file brought in: what would change, then the change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from freellmapi.core.errors import GatewayError
from freellmapi.dashboard.in_force import in_force
from freellmapi.dashboard.pages.settings_routing import shown
from freellmapi.providers.catalog import NO_KEY, STORED_KEY, load_catalog, with_custom
from freellmapi.providers.catalog_fields import CatalogError
from freellmapi.router.config_file import ConfigFile, ConfigKey, parse_text
from freellmapi.router.settings import RouterSettings
from freellmapi.services import Services
from freellmapi.storage.config import ChainRow
from freellmapi.storage.keys import DuplicateKey
from freellmapi.storage.vault import mask

LONGEST = 500_000
MASKED = "••••"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the preview."""

    what: str
    before: str
    after: str
    apply: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Plan:
    changes: tuple[Change, ...]
    passed_over: tuple[str, ...]
    """A sentence for each entry that would do nothing, and why."""


def plan(parts: Services, text: str) -> Plan:
    """What the text would change. ``GatewayError`` 422 at ``text``."""
    if not text.strip():
        raise _wrong("Paste a configuration.")
    if len(text) > LONGEST:
        raise _wrong(f"This is longer than {LONGEST:,} characters: no configuration is.")
    try:
        file = parse_text(text)
    except ValueError as exc:
        raise _wrong(f"This is not TOML: {exc}.") from exc
    return parts.off_hub(lambda: _planned(parts, file))


def bring_in(parts: Services, text: str) -> int:
    """Makes the changes; how many there were."""
    changes = plan(parts, text).changes

    def write() -> int:
        for change in changes:
            change.apply()
        return len(changes)

    return in_force(parts, write)


def _planned(parts: Services, file: ConfigFile) -> Plan:
    passed_over = list(file.problems)
    changes = [
        *_providers(parts, file, passed_over),
        *_keys(parts, file, passed_over),
        *_chain(parts, file, passed_over),
        *_settings(parts, file, passed_over),
    ]
    if file.limits:
        passed_over.append(
            "Limits of your own are read from the file that FREELLMAPI_CONFIG names, not from here."
        )
    return Plan(tuple(changes), tuple(dict.fromkeys(passed_over)))


def _settings(parts: Services, file: ConfigFile, passed_over: list[str]) -> Iterator[Change]:
    now = parts.configuration.snapshot.settings
    _, problems = RouterSettings().merged(file.settings)
    passed_over += problems
    for name, value in file.settings.items():
        if RouterSettings().merged({name: value})[1] or getattr(now, name) == value:
            continue
        before = shown(getattr(now, name))
        yield Change(name, before, shown(value), _setting(parts, {name: value}))


def _setting(parts: Services, values: Mapping[str, Any]) -> Callable[[], object]:
    return lambda: parts.config.put_settings(values)


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
    others = [e.model.ref for e in snapshot.chain if e.model.ref not in set(wanted)]
    rows = [ChainRow(ref, True) for ref in wanted] + [ChainRow(ref, False) for ref in others]
    yield Change("chain", _models(now), _models(wanted), lambda: parts.config.put_chain(rows))


def _keys(parts: Services, file: ConfigFile, passed_over: list[str]) -> Iterator[Change]:
    providers = set(parts.configuration.snapshot.catalog.providers)
    providers |= {str(p["id"]) for p in file.providers}
    for key in file.keys:
        name = key.label or key.provider
        if key.variable is not None:
            if not parts.configuration.given.env_key(key.variable):
                passed_over.append(f"The key {name} is to come from {key.variable}: set it there.")
        elif MASKED in key.key:
            passed_over.append(f"The key {name} is masked.")
        elif key.provider not in providers:
            passed_over.append(f"The key {name} is of {key.provider}, which is not known here.")
        elif parts.keys.find(key.provider, key.key) is None:
            yield Change(f"key of {key.provider}", "none", mask(key.key), _key(parts, key))


def _key(parts: Services, key: ConfigKey) -> Callable[[], object]:
    def add() -> None:
        try:
            parts.keys.add(key.provider, key.key, key.label)
        except DuplicateKey:
            return  # It stands there twice.

    return add


def _providers(parts: Services, file: ConfigFile, passed_over: list[str]) -> Iterator[Change]:
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
        yield Change(f"endpoint {id}", before, after, _provider(parts, id, definition))


def _provider(parts: Services, id: str, definition: Mapping[str, Any]) -> Callable[[], object]:
    return lambda: parts.config.put_custom_provider(id, definition)


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
