"""The proxy for calls to providers: which is in force, and how another one is set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from freellmapi.core.errors import GatewayError
from freellmapi.dashboard.in_force import in_force
from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import OutboundProxies
from freellmapi.providers.proxy_url import HIDDEN, check_no_proxy, check_proxy, masked
from freellmapi.services import Services

HTTP, HTTPS, NO_PROXY = NAMES = ("http_proxy", "https_proxy", "no_proxy")
LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class ProxyForm:
    """What is in force, by the name of its field, and where it comes from."""

    values: Mapping[str, str]
    is_saved: bool
    environment: tuple[tuple[str, str], ...]
    """(variable, value) of those that are set."""

    @property
    def is_direct(self) -> bool:
        """Whether no call goes through a proxy."""
        return not (self.values[HTTP] or self.values[HTTPS])


def form(proxies: OutboundProxies) -> ProxyForm:
    """No password is in it."""
    there = _shown(proxies.environment)
    given = tuple((name.upper(), value) for name, value in there.items() if value)
    return ProxyForm(_shown(proxies.in_force), proxies.is_saved, given)


def save(parts: Services, given: Mapping[str, object]) -> None:
    """In force for the next call, in place of the environment's; all blank is no proxy.

    ``GatewayError`` 422 at the field.
    """
    now = parts.proxies.in_force
    values = {
        "http": _proxy(HTTP, given.get(HTTP), now),
        "https": _proxy(HTTPS, given.get(HTTPS), now),
        "no_proxy": _names(given.get(NO_PROXY)),
    }
    in_force(parts, lambda: parts.proxy_store.put(values))


def reset(parts: Services) -> None:
    """Back to the environment's."""
    in_force(parts, lambda: parts.proxy_store.put(None))


def _shown(proxies: Proxies) -> dict[str, str]:
    no_proxy = proxies.no_proxy.replace(",", ", ")
    return {HTTP: masked(proxies.http), HTTPS: masked(proxies.https), NO_PROXY: no_proxy}


def _proxy(name: str, given: object, now: Proxies) -> str | None:
    text = _text(name, given)
    if not text:
        return None
    try:
        url = check_proxy(text)
    except ValueError as exc:
        raise _wrong(name, str(exc)) from exc
    if urlsplit(url).password != HIDDEN:
        return url
    # As it was shown: the password stays, but is sent to no other host.
    for known in (now.https, now.http) if name == HTTPS else (now.http, now.https):
        if known and masked(known) == url:
            return known
    raise _wrong(name, "Type the password again: it is kept only for the same user, host and port.")


def _names(given: object) -> str:
    try:
        return ",".join(check_no_proxy(_text(NO_PROXY, given)))
    except ValueError as exc:
        raise _wrong(NO_PROXY, str(exc)) from exc


def _text(name: str, given: object) -> str:
    if given is None:
        return ""
    if not isinstance(given, str):
        raise _wrong(name, "This is no text.")
    if len(given) > LONGEST:
        raise _wrong(name, f"This is longer than {LONGEST:,} characters.")
    return given.strip()


def _wrong(name: str, message: str) -> GatewayError:
    return GatewayError(422, message, code="invalid_value", param=name)
