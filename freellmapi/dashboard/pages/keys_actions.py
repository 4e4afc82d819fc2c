"""What is done to provider keys from the page: added, imported, checked, switched."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

from freellmapi.core.catalog import Catalog, Provider
from freellmapi.core.errors import GatewayError, UpstreamError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.in_force import in_force
from freellmapi.providers.env_import import Found, parse_env
from freellmapi.providers.key_format import is_placeholder, misfit, resembled
from freellmapi.providers.probe import ERROR, INVALID, RATE_LIMITED, Prober, Verdict
from freellmapi.services import Services
from freellmapi.storage.keys import DuplicateKey, StoredKey
from freellmapi.storage.vault import VaultError, mask

T = TypeVar("T")

AT_ONCE = 6
"""Providers asked at the same time when all keys are checked."""
LONGEST_LABEL = 60


@dataclass(frozen=True, slots=True)
class Checked:
    """A verdict in the words of the page."""

    provider: str
    key: str
    status: str
    reason: str
    message: str


def add_key(parts: Services, provider_id: str, secret: str, label: str, force: bool) -> StoredKey:
    """Stores a key; without a provider's id, of the one whose keys look so.

    Raises ``GatewayError`` at ``key`` or ``provider``.
    """
    if not secret:
        raise _wrong("key", "Paste a key.")
    if len(label) > LONGEST_LABEL:
        raise _wrong("label", f"Use at most {LONGEST_LABEL} characters.")
    catalog = parts.configuration.snapshot.catalog
    provider = _provider(catalog, provider_id, secret)
    if provider.status != "user" and is_placeholder(secret):
        raise _wrong("key", "This only stands where a key should.")
    problem = misfit(secret, provider, catalog.providers.values())
    if problem and not force:
        raise GatewayError(422, problem, code="wrong_format", param="key")
    try:
        return in_force(parts, lambda: parts.keys.add(provider.id, secret, label))
    except DuplicateKey as exc:
        raise _wrong("key", str(exc)) from exc


def preview(parts: Services, text: str) -> tuple[Found, ...]:
    """The keys of a pasted text; 422 at ``text`` when it is far too long."""

    def is_stored(provider: str, secret: str) -> bool:
        return parts.keys.find(provider, secret) is not None

    providers = parts.configuration.snapshot.catalog.providers
    try:
        return parts.off_hub(lambda: parse_env(text, providers, is_stored))
    except ValueError as exc:
        raise _wrong("text", f"This cannot be imported: {exc}.") from exc


def import_keys(parts: Services, found: Sequence[Found]) -> list[StoredKey]:
    """Stores those that are new."""

    def store() -> list[StoredKey]:
        stored = []
        for key in found:
            if key.is_new and key.provider is not None:
                try:
                    stored.append(parts.keys.add(key.provider, key.secret, key.label))
                except DuplicateKey:
                    continue  # Another page was first.
        return stored

    return in_force(parts, store)


def check(parts: Services, provider_id: str, key_id: str) -> Checked:
    """Asks the provider about one key now; the verdict on a stored one is kept."""
    provider = parts.configuration.snapshot.catalog.providers.get(provider_id)
    keys = parts.configuration.snapshot.keys.get(provider_id, ())
    if provider is None or all(key.id != key_id for key in keys):
        raise GatewayError(404, "This key is gone.", code="not_found")
    with closing(Prober(parts.clock, parts.proxies)) as prober:
        try:
            verdict = in_force(parts, lambda: _verdict(parts, prober, provider, key_id))
        except TimeoutError:
            verdict = Verdict(ERROR, "no answer in a minute")
    return _checked(provider, key_id, verdict)


def check_all(parts: Services) -> list[Checked]:
    """Asks about every stored key that is on, several at a time."""
    providers = parts.configuration.snapshot.catalog.providers

    def one(key: StoredKey) -> Checked:
        provider = providers[key.provider]
        with closing(Prober(parts.clock, parts.proxies)) as prober:
            return _checked(provider, str(key.id), _verdict(parts, prober, provider, str(key.id)))

    def every() -> list[Checked]:
        stored = [key for key in parts.keys.all() if key.enabled and key.provider in providers]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, stored))

    return in_force(parts, every)


def set_enabled(parts: Services, id: int, enabled: bool) -> None:
    """Raises ``GatewayError`` 404 when there is no such key."""
    if not in_force(parts, lambda: parts.keys.set_enabled(id, enabled)):
        raise GatewayError(404, "This key is gone.", code="not_found")


def masked(found: Found) -> dict[str, str | None]:
    """One line of a preview, for JSON."""
    return {
        "variable": found.variable,
        "provider": found.provider,
        "key": mask(found.secret) if found.secret else "",
        "verdict": found.verdict,
        "reason": found.reason,
    }


def _provider(catalog: Catalog, id: str, secret: str) -> Provider:
    if id:
        found = catalog.providers.get(id)
        if found is None or not found.base_url:
            raise _wrong("provider", "There is no such provider that takes a key.")
        return found
    alike = resembled(secret, catalog.providers.values())
    if len(alike) == 1:
        return alike[0]
    if alike:
        names = " or ".join(provider.name for provider in alike)
        raise _wrong("provider", f"It could be a key of {names}: choose which.")
    raise _wrong("provider", "It looks like no provider's key: choose whose it is.")


def _verdict(parts: Services, prober: Prober, provider: Provider, key_id: str) -> Verdict:
    """Blocks. The secret goes from the vault to the provider and nowhere else."""
    stored = parts.keys.get(int(key_id)) if key_id.isdecimal() else None
    try:
        if stored is not None:
            secret: str | None = parts.keys.secret(stored)
        else:
            secret = parts.configuration.secret(provider.id, key_id)
    except (VaultError, UpstreamError):
        return Verdict(INVALID, "the stored key cannot be decrypted: remove and add it again")
    verdict = prober.probe(provider, secret)
    if verdict.credit is False:
        verdict = replace(verdict, status=RATE_LIMITED, reason="out of credit")
    if stored is not None:
        parts.keys.set_status(stored.id, verdict.status, verdict.reason)
    return verdict


def _checked(provider: Provider, key_id: str, verdict: Verdict) -> Checked:
    said = {
        INVALID: f"{provider.name} refused the key",
        RATE_LIMITED: f"{provider.name} knows the key, and limits it now",
        ERROR: f"{provider.name} could not be asked",
    }.get(verdict.status, f"{provider.name} accepts the key")
    message = f"{said}: {verdict.reason}" if verdict.reason else said
    return Checked(provider.id, key_id, verdict.status, verdict.reason, f"{message.rstrip('.')}.")


def _wrong(param: str, message: str) -> GatewayError:
    return GatewayError(422, message, code="invalid_value", param=param)
