"""Who is asking: the bearer token at the door of ``/v1``."""

from __future__ import annotations

import hmac

from flask import g, request

from freellmapi.core.errors import GatewayError
from freellmapi.router.record import Caller
from freellmapi.services import services
from freellmapi.storage.tokens import digest


def authenticate() -> None:
    """Set ``g.caller``, or refuse with 401.

    ``Authorization: Bearer`` first, then ``x-api-key``. Tokens are found by their SHA-256,
    so the time a look-up takes says nothing about any token.
    """
    token = token_given()
    if not token:
        raise refused("No API key was given. Send it as `Authorization: Bearer <key>`.")
    wanted = digest(token)
    parts = services()
    found = parts.configuration.clients.get(wanted)
    if found is None or not hmac.compare_digest(found.digest, wanted):
        raise refused(
            "Incorrect API key provided. `freellmapi token show` prints the one that is good here."
        )
    parts.token_use.note(found.id, parts.clock.now())
    g.caller = Caller(g.request_id, found.id)


def token_given() -> str:
    """The token of this request, empty if there is none."""
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        token = request.headers.get("x-api-key", "")
    return token.strip()


def refused(message: str) -> GatewayError:
    return GatewayError(401, message, code="invalid_api_key", type="authentication_error")
