"""The tokens that programs send: listed, made and revoked."""

from __future__ import annotations

from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.in_force import in_force
from freellmapi.services import Services
from freellmapi.storage.tokens import UNIFIED, TokenExists

LONGEST_NAME = 60
MOST = 200


@dataclass(frozen=True, slots=True)
class TokenRow:
    id: int
    name: str
    mask: str
    created_at: float
    last_used_at: float | None
    is_unified: bool


def rows(parts: Services) -> tuple[TokenRow, ...]:
    """Those that are good, oldest first."""
    return tuple(
        TokenRow(
            token.id,
            token.name,
            token.mask,
            token.created_at,
            parts.token_use.at(token.id, token.last_used_at),
            token.name == UNIFIED,
        )
        for token in parts.off_hub(parts.tokens.live)
    )


def create(parts: Services, name: str) -> str:
    """The token itself, which is shown this once. ``GatewayError`` 422 at ``name``."""
    name = name.strip()
    if not name:
        raise _wrong("Give it a name: the program or machine that will use it.")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise _wrong(f"Use at most {LONGEST_NAME} characters on one line.")
    if len(parts.configuration.clients) >= MOST:
        raise _wrong(f"There are {MOST} tokens. Revoke one that is not used any more.")
    try:
        return in_force(parts, lambda: parts.tokens.create(name))
    except TokenExists as exc:
        raise _wrong(f"There is a token named {name} already. Choose another name.") from exc


def find(parts: Services, id: int) -> TokenRow:
    """Raises ``GatewayError``: 404 when it is gone, 409 when it is the unified key."""
    for token in rows(parts):
        if token.id == id:
            if token.is_unified:
                said = "The unified key is not revoked: rotate it on the page Keys."
                raise GatewayError(409, said, code="unified_key")
            return token
    raise GatewayError(404, "This token is gone already.", code="not_found")


def revoke(parts: Services, id: int) -> TokenRow:
    """Ends it at once, for good."""
    token = find(parts, id)
    in_force(parts, lambda: parts.tokens.revoke(token.name))
    return token


def _wrong(message: str) -> GatewayError:
    return GatewayError(422, message, code="invalid_value", param="name")
