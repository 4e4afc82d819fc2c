"""What is secret stands in nothing that a browser or a program can ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from freellmapi.dashboard.sessions import COOKIE, DEVICE
from freellmapi.services import Services
from freellmapi.storage.tables import accounts
from tests.dashboard.conftest import PASSWORD, Visitor

GROQ = "gsk_" + "1not2a3real4key5" * 3
GOOGLE = "AIza" + "Not0A0Real0Key" * 3
PROXY = "n0t-a-real-Passw0rt-0123"
ENDPOINT = "sk-of-an-endpoint-0123456789"
SHORTEST = 8
"""Characters of a secret from which on a piece of it counts as a leak."""


@pytest.fixture
def secrets(owner: Visitor, services: Services) -> Mapping[str, str]:
    """Every kind of secret that this server holds, in its raw form."""
    services.keys.add("groq", GROQ, "laptop")
    services.keys.add("google", GOOGLE)
    services.keys.add("lab", ENDPOINT)
    token = services.tokens.create("ci")
    way = f"http://me:{PROXY}@127.0.0.1:9"
    owner.send("/api/settings/proxy", {"https_proxy": way})
    owner.send("/api/settings/proxy", {"https_proxy": way, "http_proxy": way})
    services.configuration.refresh()
    with services.database.connect() as connection:
        hashed = connection.execute(select(accounts.c.password)).scalar_one()
    cookies = {name: owner.client.get_cookie(name) for name in (COOKIE, DEVICE)}
    return {
        "key of groq": GROQ,
        "key of google": GOOGLE,
        "key of an endpoint": ENDPOINT,
        "password of the proxy": PROXY,
        "unified key": services.tokens.reveal(),
        "client token": token,
        "password": PASSWORD,
        "hash of the password": hashed,
        "salt of the password": hashed.split("$")[4],
        "encryption key": "ab" * 32,
        **{name: cookie.value for name, cookie in cookies.items() if cookie is not None},
    }


def leaks(response: TestResponse, secrets: Mapping[str, str]) -> list[str]:
    """Names of those that stand in the body or a header, whole or but for their ends."""
    told = response.get_data(as_text=True) + "".join(
        f"{name}: {value}\n" for name, value in response.headers if name != "Set-Cookie"
    )
    return [name for name, secret in secrets.items() if _core(secret) in told]


def _core(secret: str) -> str:
    """A mask shows a few characters at each end; no more than that may be shown."""
    return secret[5:-4] if len(secret) >= SHORTEST + 9 else secret


def readable(app: Flask) -> list[str]:
    """The address of every GET route, with something in the place of its arguments."""
    paths = []
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or set()) and not rule.rule.startswith("/static"):
            paths.append(re.sub(r"<[^>]+>", "lab/alpha", rule.rule))
    return paths


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_nothing_that_can_be_read_holds_a_secret(
    app: Flask, owner: Visitor, secrets: Mapping[str, str], accept: str
) -> None:
    paths = readable(app)
    assert {"/keys", "/settings", "/settings/export", "/api/chain", "/v1/models"} <= set(paths)
    answered = 0
    for path in paths:
        response = owner.get(path, Accept=accept)
        answered += response.status_code == 200
        assert leaks(response, secrets) == [], path
    assert answered >= len(paths) * 2 // 3


def test_the_scan_finds_what_is_shown_on_purpose(
    owner: Visitor, secrets: Mapping[str, str]
) -> None:
    body = {"password": PASSWORD}
    response = owner.send("/api/keys/unified/reveal", body)
    assert leaks(response, secrets) == ["unified key"]


def test_no_refusal_repeats_a_secret(
    app: Flask, owner: Visitor, secrets: Mapping[str, str]
) -> None:
    """Every change, sent as nonsense that holds the secrets: what is wrong is said without them."""
    given: dict[str, Any] = {
        "nonsense": list(secrets.values()),
        "text": 7,
        "password": PASSWORD + "!",
    }
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) & {"POST", "PUT", "DELETE"}:
            if rule.rule in ("/logout", "/api/keys/unified/rotate"):
                continue
            path = re.sub(r"<[^>]+>", "1", rule.rule)
            response = owner.send(path, given, method)
            assert leaks(response, secrets) == [], f"{method} {path}"
