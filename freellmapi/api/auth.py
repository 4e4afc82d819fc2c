"""Who is asking: the bearer token at the door of ``/v1``."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from freellmapi.core.errors import GatewayError
from freellmapi.router.record import Caller
from freellmapi.services import Services
from freellmapi.storage.tokens import digest


def caller(parts: Services, request_id: str, token: str) -> Caller:
    """Whose request it is; 401 for a token that is missing or unknown.

    Tokens are found by their SHA-256, so the time a look-up takes says nothing about any.
    """
    if not token:
        raise refused("No API key was given. Send it as `Authorization: Bearer <key>`.")
    wanted = digest(token)
    found = parts.configuration.clients.get(wanted)
    if found is None or not hmac.compare_digest(found.digest, wanted):
        raise refused(
            "Incorrect API key provided. `freellmapi token show` prints the one that is good here."
        )
    parts.token_use.note(found.id, parts.clock.now())
    return Caller(request_id, found.id)


def token_in(environ: Mapping[str, str]) -> str:
    """The token of a request, empty if there is none.

    ``Authorization: Bearer`` first, then ``x-api-key``.
    """
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        token = environ.get("HTTP_X_API_KEY", "")
    return token.strip()


def refused(message: str) -> GatewayError:
    return GatewayError(401, message, code="invalid_api_key", type="authentication_error")
