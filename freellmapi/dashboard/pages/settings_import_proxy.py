"""The ``[network]`` of a configuration file: the outbound proxies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NoReturn

from freellmapi.dashboard.pages.settings_undo import Change, Found
from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import UNREADABLE, WRONG_FILE
from freellmapi.providers.proxy_fields import (
    HTTP,
    HTTPS,
    NO_PROXY,
    WrongField,
    fields,
    read_table,
    variable_of,
)
from freellmapi.router.config_file import ConfigFile
from freellmapi.services import Services
from freellmapi.storage.proxies import RECORD


def in_file(parts: Services) -> dict[str, str] | None:
    """What an export has there: what is saved, else what the configuration file says. Blocks."""
    saved, given = parts.proxies.read(), parts.configuration.given
    if saved is not None:
        return None if saved is UNREADABLE else fields(saved, is_masked=False)
    if given.network is None or given.proxies is None or given.proxies is WRONG_FILE:
        return None
    named = {n: str(v).strip() for n, v in given.network.items() if variable_of(v) is not None}
    return fields(given.proxies, is_masked=False) | named


def proxy(parts: Services, file: ConfigFile, passed_over: list[str]) -> Found:
    """A change when it names other proxies than are in force."""
    if file.network is None or dict(file.network) == in_file(parts):
        return
    now = parts.proxies.in_force
    try:
        wanted = read_table(file.network, _no_variable, now)
    except WrongField as exc:
        # Half of it might send calls out that were meant to go by the other half.
        passed_over.append(f"{exc} The outbound proxy stays as it is.")
        return
    if wanted == now:
        return

    def put() -> dict[str, Any]:
        return {RECORD: parts.proxy_store.put(asdict(wanted))}

    before, after = _in_words(now), _in_words(wanted)
    if before == after:
        after += ", with another password"
    yield Change("outbound proxy", before, after, put)


def _no_variable(name: str, variable: str) -> NoReturn:
    said = "A variable is read from the file that FREELLMAPI_CONFIG names, not from here."
    raise WrongField(name, said)


def _in_words(proxies: Proxies) -> str:
    """Without a password."""
    shown: Mapping[str, str] = fields(proxies, is_masked=True)
    if proxies.http == proxies.https:
        said = shown[HTTPS] or "none"
    else:
        said = f"{shown[HTTPS] or 'none'} for https, {shown[HTTP] or 'none'} for http"
    return f"{said}, but not for {shown[NO_PROXY]}" if shown[NO_PROXY] else said
