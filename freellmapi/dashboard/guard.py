"""Nobody passes to a page or to ``/api`` without a session or the unified key.

Closed unless named here: a new address needs no line of its own to be safe.
"""

from __future__ import annotations

import hmac

from flask import Flask, Response, current_app, g, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf

from freellmapi.core.errors import GatewayError
from freellmapi.dashboard import sessions
from freellmapi.dashboard.doorman import TooMany
from freellmapi.dashboard.parts import parts
from freellmapi.router.record import Caller
from freellmapi.services import services
from freellmapi.storage.accounts import Account
from freellmapi.storage.tokens import UNIFIED, digest

_OPEN = ("/v1", "/static", "/healthz", "/readyz", "/metrics", "/favicon.ico")
"""These and all below them: ``/v1`` has a door of its own, the others tell nothing."""
_FOR_STRANGERS = ("/login", "/setup")
_WITHOUT_HARM = frozenset({"GET", "HEAD", "OPTIONS"})


def register(app: Flask) -> None:
    app.before_request(admit)


def admit() -> ResponseReturnValue | None:
    """Lets the request pass (None), sets ``g.account``, or says who may."""
    path = request.path
    if request.url_rule is None or any(path == p or path.startswith(f"{p}/") for p in _OPEN):
        return None
    if _is_api() and "Authorization" in request.headers:
        _check_bearer()
        return None
    if path not in _FOR_STRANGERS:
        account = sessions.current()
        if account is None:
            return _turned_away()
        g.account = account
    # Also before anybody is logged in: a stranger's page could log its reader in as another.
    parts().csrf.protect()
    return None


def account() -> Account | None:
    """Who is logged in; None for a program with the unified key."""
    found = g.get("account")
    return found if isinstance(found, Account) else None


def confirm(password: str) -> None:
    """Asks the password again before something that cannot be taken back is shown or done.

    Raises ``GatewayError``: 403 at ``password`` when it is wrong or nobody is logged in,
    429 with the wait when it was wrong too often.
    """
    who = account()
    if who is None:
        raise GatewayError(403, "This needs a person who is logged in.", code="login_required")
    try:
        admitted = parts().doorman.admit(guesser(who.name), who.name, password)
    except TooMany as exc:
        raise GatewayError(
            429, str(exc), code="too_many_attempts", param="password", retry_after=exc.seconds
        ) from exc
    if admitted is None:
        raise GatewayError(
            403, "That is not your password.", code="wrong_password", param="password"
        )


def confirm_lately(password: str) -> None:
    """As ``confirm``, but without a password where it was given in the last ten minutes, to log
    in or here; 403 ``password_required`` where it was not."""
    if password:
        confirm(password)
        sessions.prove()
    elif account() is None or not sessions.has_proved_lately():
        raise GatewayError(
            403, "Your password is needed for this.", code="password_required", param="password"
        )


def guesser(name: str) -> str:
    """Whose wrong passwords are counted together: the known browser's, or the address's.

    Behind a proxy that is not among TRUSTED_PROXIES all share one address; who was logged in
    before is told apart all the same.
    """
    return sessions.known_device(current_app, name) or sessions.address()


def wants_json() -> bool:
    """Whether a script asks, and not a person's browser for a page."""
    return _is_api() or request.accept_mimetypes.best == "application/json"


def _is_api() -> bool:
    return request.path.startswith("/api/")


def _check_bearer() -> None:
    """The unified key alone: the tokens of single clients are for ``/v1``."""
    scheme, _, token = request.headers["Authorization"].partition(" ")
    wanted = digest(token.strip())
    found = services().configuration.clients.get(wanted) if scheme.lower() == "bearer" else None
    if found is None or found.name != UNIFIED or not hmac.compare_digest(found.digest, wanted):
        raise GatewayError(
            401,
            "Log in, or send the unified key: `Authorization: Bearer <key>`.",
            code="invalid_api_key",
            type="authentication_error",
        )
    services().token_use.note(found.id, services().clock.now())
    g.caller = Caller(g.request_id, found.id)


def _turned_away() -> ResponseReturnValue:
    has_account = services().accounts.any()
    if wants_json():
        return _login_first() if has_account else _login_first("setup_required")
    if not has_account:
        return redirect(url_for("dashboard.setup"))
    wanted = request.full_path.rstrip("?") if request.method in _WITHOUT_HARM else None
    return redirect(url_for("dashboard.login", next=None if wanted == "/" else wanted))


def _login_first(code: str = "login_required") -> tuple[Response, int]:
    """401, with a CSRF token: the page logs in on the spot and sends its request again."""
    error = GatewayError(401, "Log in to go on.", code=code, type="authentication_error")
    return jsonify(**error.body(), csrf_token=generate_csrf()), 401
