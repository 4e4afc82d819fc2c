"""Where a candidate is reached and with what secret, for the length of one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.redact import remember
from freellmapi.providers.transport import Endpoint


class Launcher(Protocol):
    """A server of our own that must run before it can be asked."""

    key: str

    def base_url(self) -> str:
        """Where it listens, started if need be."""
        ...


class Secrets(Protocol):
    """Where the keys are, by their ids."""

    def secret(self, provider: str, key_id: str) -> str | None:
        """The key itself; None for a provider that needs none."""
        ...


class Endpoints:
    """Puts base URL, headers and the decrypted key together."""

    def __init__(self, secrets: Secrets, launchers: Mapping[str, Launcher]) -> None:
        self._secrets = secrets
        self._launchers = launchers

    def of(self, provider: Provider, key_id: str) -> Endpoint:
        """The endpoint for one call; ``UpstreamError`` when it cannot be made ready."""
        launcher = self._launchers.get(provider.id)
        if launcher is not None:
            return endpoint(provider, launcher.key, launcher.base_url())
        return endpoint(provider, self._secrets.secret(provider.id, key_id))


def endpoint(provider: Provider, secret: str | None, base_url: str | None = None) -> Endpoint:
    """An endpoint with ``secret``, its parts filled into the URL where they belong.

    A key of several fields (``account_id:token``) fills the URL's placeholders; its last
    field is the secret proper.
    """
    url = provider.base_url if base_url is None else base_url
    headers = dict(provider.headers)
    if secret is not None:
        remember(secret)
    secret = provider.anonymous_key if secret is None else secret
    if secret is not None:
        try:
            url, secret = provider.filled(url, secret), provider.secret(secret)
        except ValueError as exc:
            raise UpstreamError(ErrorKind.KEY_REJECTED, str(exc)) from exc
    if secret is not None and provider.auth_header:
        if secret != provider.anonymous_key:
            remember(secret)
        headers[provider.auth_header] = provider.auth_format.replace("{key}", secret)
    return Endpoint(url, headers)
