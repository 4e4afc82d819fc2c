"""The configuration as the TOML that ``FREELLMAPI_CONFIG`` and the import read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from freellmapi.dashboard.pages.settings_import_proxy import in_file
from freellmapi.providers.catalog import NO_KEY, STORED_KEY
from freellmapi.providers.proxy_fields import HTTP, HTTPS, variable_of
from freellmapi.providers.proxy_url import HIDDEN, masked
from freellmapi.router.settings import RouterSettings
from freellmapi.services import Services
from freellmapi.storage.vault import VaultError

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def exported(parts: Services, in_full: bool) -> str:
    """Blocks. Keys masked, or ``in_full``; what is at its default is left out."""
    given = parts.configuration.given
    providers = {str(p["id"]): p for p in given.providers} | parts.config.custom_providers()
    lines = [
        "# The configuration of FreeLLMAPI; docs/configuration.md says what each line means.",
        "# Keys and passwords are in here: keep it as safe as they are."
        if in_full
        else "# Keys, an endpoint's headers and a proxy with a login are masked and in comments.",
        *_chain(parts),
        *_settings(parts),
        *_network(parts, in_full),
        *_keys(parts, in_full),
    ]
    for id, definition in providers.items():
        lines += _provider({"id": id} | _without_secret(definition), in_full)
    for limit in (*given.limits, *parts.config.limits()):
        lines += _table("limits", limit)
    return "\n".join([*lines, ""])


def value(found: object) -> str:
    """One value; tables are written inline."""
    if isinstance(found, Mapping):
        pairs = [f"{_key(str(k))} = {value(v)}" for k, v in found.items() if v is not None]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(found, (list, tuple)):
        return f"[{', '.join(value(one) for one in found)}]"
    if isinstance(found, (bool, int, float)):
        return str(found).lower()
    # JSON's strings are TOML's basic strings, but for the one control character it lets pass.
    return json.dumps(str(found), ensure_ascii=False).replace("\x7f", "\\u007f")


def _chain(parts: Services) -> Iterator[str]:
    if not (parts.config.chain() or parts.configuration.given.chain):
        return
    # Not the stored rows: models that came after them are on as well.
    chain = [entry.model.ref for entry in parts.configuration.snapshot.chain if entry.enabled]
    if chain:
        yield ""
        yield "chain = ["
        yield from (f"  {value(ref)}," for ref in chain)
        yield "]"


def _settings(parts: Services) -> Iterator[str]:
    settings = parts.configuration.snapshot.settings
    names = [*parts.configuration.given.settings, *parts.config.settings()]
    known = [name for name in dict.fromkeys(names) if hasattr(RouterSettings(), name)]
    if known:
        yield ""
        yield "[settings]"
        # A whole number is written as one.
        yield from (f"{name} = {value(_plain(getattr(settings, name)))}" for name in known)


def _plain(found: object) -> object:
    return int(found) if isinstance(found, float) and found.is_integer() else found


def _network(parts: Services, in_full: bool) -> Iterator[str]:
    found = in_file(parts)
    if found is None:
        return
    has_login = any("@" in found[name] for name in (HTTPS, HTTP))
    if not in_full:
        found |= {n: masked(found[n]) for n in (HTTPS, HTTP) if variable_of(found[n]) is None}
    # A blank one is named too: the part is taken as a whole, and its lines say so.
    lines = ["[network]", *(f"{name} = {value(said)}" for name, said in found.items())]
    yield ""
    yield from (f"# {line}" if has_login and not in_full else line for line in lines)


def _keys(parts: Services, in_full: bool) -> Iterator[str]:
    for key in parts.keys.all():
        fields: dict[str, Any] = {
            "provider": key.provider,
            "key": key.mask,
            "label": key.label,
            "enabled": None if key.enabled else False,
        }
        if not in_full:
            yield from (f"# {line}" if line else "" for line in _table("keys", fields))
            continue
        try:
            secret = parts.keys.secret(key)
        except VaultError:
            continue  # Nobody can read it any more, here or there.
        yield from _table("keys", fields | {"key": secret})
    for provider, variable, label in parts.configuration.env_keys:
        yield from _table("keys", {"provider": provider, "key": f"env:{variable}", "label": label})


def _without_secret(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's key stands under ``[[keys]]``; that it wants one is said here."""
    found = {k: v for k, v in definition.items() if k != "id"}
    return found | ({"key": STORED_KEY} if found.get("key", NO_KEY) != NO_KEY else {})


def _provider(fields: dict[str, Any], in_full: bool) -> Iterator[str]:
    headers = fields.get("headers")
    if in_full or not headers:
        yield from _table("providers", fields)
        return
    # Any of them may be a password.
    yield from _table("providers", fields | {"headers": None})
    yield f"# headers = {value(dict.fromkeys(headers, HIDDEN))}"


def _table(part: str, fields: Mapping[str, Any]) -> Iterable[str]:
    given = [(k, v) for k, v in fields.items() if v not in (None, "")]
    return ("", f"[[{part}]]", *(f"{_key(k)} = {value(v)}" for k, v in given))


def _key(name: str) -> str:
    return name if name and set(name) <= _BARE else value(name)
