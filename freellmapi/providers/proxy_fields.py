"""The three fields that say how calls go out: the form's in Settings, and ``[network]``'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from freellmapi.providers.origins import Proxies
from freellmapi.providers.proxy_url import HIDDEN, check_no_proxy, check_proxy, masked

FIELDS = HTTPS, HTTP, NO_PROXY = ("https_proxy", "http_proxy", "no_proxy")
LONGEST = 2_000
_ENV = "env:"


class WrongField(ValueError):
    """One field cannot be what was given, which is not repeated here."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"network.{name}: {message}")
        self.name, self.message = name, message


def read_fields(given: Mapping[str, object], now: Proxies) -> Proxies:
    """Those that the fields say, blank ones being none; ``WrongField`` names the first bad one.

    A URL with a hidden password keeps the one that ``now`` has for the same user and host.
    """
    return Proxies(
        http=_proxy(HTTP, given.get(HTTP), (now.http, now.https)),
        https=_proxy(HTTPS, given.get(HTTPS), (now.https, now.http)),
        no_proxy=_names(given.get(NO_PROXY)),
    )


def read_table(
    table: Mapping[str, object], variable: Callable[[str, str], str], now: Proxies
) -> Proxies:
    """The same of ``[network]``, where a field may name a variable of the environment.

    ``variable`` gives the value for a field's name and a variable's, or raises ``WrongField``.
    """
    for name in table:
        if name not in FIELDS:
            raise WrongField(name[:60], f"There is no such field; there are: {', '.join(FIELDS)}.")
    named = {name: variable_of(value) for name, value in table.items()}
    resolved = {
        name: value if (var := named[name]) is None else variable(name, var)
        for name, value in table.items()
    }
    return read_fields(resolved, now)


def variable_of(value: object) -> str | None:
    """The variable that a field of ``[network]`` names, if it does."""
    if not isinstance(value, str) or not value.strip().startswith(_ENV):
        return None
    return value.strip().removeprefix(_ENV).strip()


def fields(proxies: Proxies, is_masked: bool) -> dict[str, str]:
    """As they are written, with every password or with none."""
    shown = masked if is_masked else _whole
    no_proxy = proxies.no_proxy.replace(",", ", ")
    return {HTTPS: shown(proxies.https), HTTP: shown(proxies.http), NO_PROXY: no_proxy}


def _whole(url: str | None) -> str:
    return url or ""


def _proxy(name: str, given: object, known: tuple[str | None, ...]) -> str | None:
    text = _text(name, given)
    if not text:
        return None
    try:
        url = check_proxy(text)
    except ValueError as exc:
        raise WrongField(name, str(exc)) from exc
    if urlsplit(url).password != HIDDEN:
        return url
    # As it was shown: the password stays, but is sent to no other host.
    for one in known:
        if one and masked(one) == url:
            return one
    raise WrongField(
        name, "Type the password again: it is kept only for the same user, host and port."
    )


def _names(given: object) -> str:
    try:
        return ",".join(check_no_proxy(_text(NO_PROXY, given)))
    except WrongField:
        raise
    except ValueError as exc:
        raise WrongField(NO_PROXY, str(exc)) from exc


def _text(name: str, given: object) -> str:
    if given is None:
        return ""
    if not isinstance(given, str):
        raise WrongField(name, "This is no text.")
    if len(given) > LONGEST:
        raise WrongField(name, f"This is longer than {LONGEST:,} characters.")
    return given.strip()
