"""The keys of a configuration file: given there, or in a variable of the environment."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from freellmapi.dashboard.pages.settings_undo import Change, Found
from freellmapi.router.config_file import ConfigFile, ConfigKey
from freellmapi.router.configuration import ENV
from freellmapi.services import Services
from freellmapi.storage.vault import mask

MASKED = "••••"


def keys(parts: Services, file: ConfigFile, passed_over: list[str]) -> Found:
    """A change for each key that is not here yet."""
    providers = set(parts.configuration.snapshot.catalog.providers)
    providers |= {str(p["id"]) for p in file.providers}
    seen: set[tuple[str, str]] = set()
    for key in file.keys:
        name = key.label or key.provider
        if (key.provider, key.key) in seen:
            continue
        seen.add((key.provider, key.key))
        if key.provider not in providers:
            passed_over.append(f"The key {name} is of {key.provider}, which is not known here.")
        elif key.variable is not None:
            yield from _of_environment(parts, key, key.variable, passed_over)
        elif MASKED in key.key:
            passed_over.append(f"The key {name} is masked.")
        elif parts.keys.find(key.provider, key.key) is None:
            after = mask(key.key) if key.enabled else f"{mask(key.key)}, turned off"
            yield Change(f"key of {key.provider}", "none", after, _stored(parts, key))


def _stored(parts: Services, key: ConfigKey) -> Callable[[], dict[str, Any]]:
    def put() -> dict[str, Any]:
        stored = parts.keys.add(key.provider, key.key, key.label, enabled=key.enabled)
        return {"key": stored.id}

    return put


def _of_environment(
    parts: Services, key: ConfigKey, variable: str, passed_over: list[str]
) -> Found:
    live = parts.configuration.snapshot.keys.get(key.provider, ())
    if any(known.id == ENV + variable for known in live):
        return
    if not _is_of(parts, key.provider, variable):
        # An endpoint of anybody's choice is not to be sent any variable of the server.
        passed_over.append(
            f"{variable} is not named after {key.provider}: such a key is read from the file "
            "that FREELLMAPI_CONFIG names, not from here."
        )
        return
    is_set = parts.configuration.given.env_key(variable)
    after = key.key if is_set else f"{key.key}, which is not set yet"

    def put() -> dict[str, Any]:
        before = parts.config.env_keys()
        parts.config.put_env_keys([*before, (key.provider, variable, key.label)])
        return {"env_key": [key.provider, variable]}

    yield Change(f"key of {key.provider}", "none", after, put)


def _is_of(parts: Services, provider: str, variable: str) -> bool:
    known = parts.configuration.snapshot.catalog.providers.get(provider)
    named = {name for way in known.env_ways() for name in way} if known else set()
    prefix = re.sub(r"[^A-Z0-9]", "_", provider.upper()) + "_"
    return variable in named or variable.startswith(prefix)
