"""Who is logged in: a signed cookie that names the account and the epoch of its password."""

from __future__ import annotations

import ipaddress
import secrets
from datetime import timedelta

from flask import Flask, Request, Response, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature, URLSafeSerializer

from freellmapi.services import services
from freellmapi.storage.accounts import Account

LASTS = timedelta(days=30)
"""Since the last visit."""
PROVED_FOR = 600.0
"""Seconds for which a password counts as just given."""
COOKIE = "freellmapi_session"
DEVICE = "freellmapi_device"
_DEVICE_LASTS = timedelta(days=365)
_OF_PROXIES = (
    "Forwarded",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
)
_WITHOUT = ("/v1/", "/static/", "/healthz", "/readyz", "/metrics")


class Sessions(SecureCookieSessionInterface):
    """Flask's own sessions, not opened where nobody logs in; Secure wherever TLS is."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if request.path.startswith(_WITHOUT):
            return self.make_null_session(app)
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register(app: Flask, key: bytes) -> None:
    app.secret_key = key
    app.session_interface = Sessions()
    app.config.update(
        SESSION_COOKIE_NAME=COOKIE,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=LASTS,
    )


def begin(account: Account) -> None:
    """Log in, with nothing kept of whoever had this cookie before."""
    end()
    session.permanent = True
    session["account"], session["epoch"] = account.id, account.epoch
    g.account = account
    prove()


def prove() -> None:
    """Remembers that the password was given now."""
    session["proved"] = services().clock.now()


def has_proved_lately() -> bool:
    proved = session.get("proved")
    return isinstance(proved, float) and 0 <= services().clock.now() - proved < PROVED_FOR


def end() -> None:
    """Log out: the cookie, and the CSRF tokens that were made for it, are of no more use."""
    session.clear()
    g.pop("csrf_token", None)
    g.pop("account", None)


def current() -> Account | None:
    """The account whose live session this request belongs to."""
    id = session.get("account")
    account = services().accounts.get(id) if isinstance(id, int) else None
    if account is None or session.get("epoch") != account.epoch:
        return None
    return account


def known_device(app: Flask, name: str) -> str | None:
    """The device's id, if somebody once logged in to this account with it."""
    text = request.cookies.get(DEVICE, "")
    try:
        found = _signer(app).loads(text)
    except BadSignature:
        return None
    return str(found["id"]) if found.get("name") == name else None


def remember_device(app: Flask, name: str, response: Response) -> None:
    """Give the browser a name that its wrong passwords are counted under."""
    response.set_cookie(
        DEVICE,
        str(_signer(app).dumps({"name": name, "id": secrets.token_hex(8)})),
        max_age=_DEVICE_LASTS,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )


def address() -> str:
    """Where the request comes from: an IPv4 address, or the /64 that an IPv6 host is given."""
    try:
        ip = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if ip.version == 6 and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network(f"{ip}/64", strict=False))
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def is_this_machine() -> bool:
    """Whether the browser runs on the server's own machine, as far as can be known.

    A proxy on this machine would make everybody look so, hence its headers, and HTTP/1.0,
    which no browser speaks, but nginx does to its upstreams unless told otherwise. A page
    elsewhere whose name resolves to 127.0.0.1 would too, hence the host.
    """
    if any(name in request.headers for name in _OF_PROXIES):
        return False
    if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        return False
    host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    try:
        is_near = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
    return is_near and host in ("localhost", "127.0.0.1", "[::1]")


def _signer(app: Flask) -> URLSafeSerializer:
    assert isinstance(app.secret_key, bytes)
    return URLSafeSerializer(app.secret_key, salt="freellmapi device")
