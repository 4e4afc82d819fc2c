"""The proxy for calls to providers: which is in force, and how another one is set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.in_force import in_force
from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import OutboundProxies
from freellmapi.providers.proxy_fields import HTTP, HTTPS, WrongField, fields, read_fields
from freellmapi.services import Services
from freellmapi.storage.proxies import UnreadableProxies

Variables = tuple[tuple[str, str], ...]
"""(variable, value) of those that are set."""


@dataclass(frozen=True, slots=True)
class ProxyForm:
    """What is in force, by the name of its field, and where it comes from."""

    values: Mapping[str, str]
    origin: str
    reset: str
    """What the button says that removes what is set here; empty when nothing is."""
    outweighed: tuple[tuple[str, Variables], ...]
    """Who else sets proxies, and which."""

    @property
    def is_direct(self) -> bool:
        """Whether no call goes through a proxy."""
        return not (self.values[HTTP] or self.values[HTTPS])


def form(proxies: OutboundProxies) -> ProxyForm:
    """No password is in it."""
    environment, of_file = _variables(proxies.environment), proxies.of_file
    beneath = [("The environment", environment)] if environment or of_file is None else []
    if of_file is not None:
        beneath.insert(0, ("The configuration file", _variables(of_file)))
    reset = "Use the environment's" if of_file is None else "Use the configuration file's"
    return ProxyForm(
        values=fields(proxies.in_force, is_masked=True),
        origin=_origin(proxies, bool(environment)),
        reset=reset if proxies.is_saved else "",
        outweighed=tuple(beneath if proxies.is_saved else beneath[1:]),
    )


def save(parts: Services, given: Mapping[str, object]) -> str | None:
    """In force for the next call, in place of all others; all blank is no proxy.

    Gives what was saved before, still sealed, for ``undo``. ``GatewayError`` 422 at the field.
    """
    try:
        wanted = read_fields(given, parts.proxies.in_force)
    except WrongField as exc:
        raise GatewayError(422, exc.message, code="invalid_value", param=exc.name) from exc
    return in_force(parts, lambda: parts.proxy_store.put(asdict(wanted)))


def reset(parts: Services) -> str | None:
    """Back to the configuration file's or the environment's; for ``undo`` as ``save``."""
    return in_force(parts, lambda: parts.proxy_store.put(None))


def undo(parts: Services, given: Mapping[str, object]) -> None:
    """``{"before"}`` as it was given by ``save`` or ``reset``."""
    before = given.get("before", "")
    if before is not None and not isinstance(before, str):
        before = ""
    try:
        in_force(parts, lambda: parts.proxy_store.put_back(before))
    except UnreadableProxies as exc:
        said = "What was set before cannot be read any more. Set it anew."
        raise GatewayError(409, said, code="unreadable") from exc


def _origin(proxies: OutboundProxies, is_in_environment: bool) -> str:
    if proxies.is_saved:
        return "Set here"
    if proxies.of_file is not None:
        return "Set in the configuration file"
    return "From the environment" if is_in_environment else "Default"


def _variables(proxies: Proxies) -> Variables:
    there = fields(proxies, is_masked=True)
    return tuple((name.upper(), value) for name, value in there.items() if value)
