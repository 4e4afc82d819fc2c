"""Browsers that use ``/v1`` from a page of another origin."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from freellmapi.services import Services
from freellmapi.settings import Settings
from tests.fakes.application import application

PAGE = "https://chat.example"
ASKS = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}
HI = {"model": "lab/alpha", "messages": [{"role": "user", "content": "hi"}]}


def opened_to(origins: str, services: Services) -> FlaskClient:
    app = application(
        Settings.from_env({"ENCRYPTION_KEY": "ab" * 32, "CORS_ORIGINS": origins}), services
    )
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {services.tokens.reveal()}"
    return client


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/embeddings"])
def test_a_preflight_needs_no_token(app: Flask, path: str) -> None:
    response = app.test_client().options(path, headers=ASKS)
    assert response.status_code == 204
    headers = response.headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Allow-Headers"] == ASKS["Access-Control-Request-Headers"]
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/v1/chat/completions", {"POST", "OPTIONS"}),
        ("/v1/models/a/b", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/nothing", set()),
    ],
)
def test_allow_names_what_is_taken_there(app: Flask, path: str, taken: set[str]) -> None:
    assert app.test_client().options(path).allow.as_set(preserve_casing=True) == taken


def test_the_page_may_read_answers_and_how_they_came(client: FlaskClient) -> None:
    response = client.post("/v1/chat/completions", json=HI, headers={"Origin": PAGE})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    exposed = response.headers["Access-Control-Expose-Headers"]
    for name in ("X-Routed-Via", "X-Request-Id", "Retry-After"):
        assert name in exposed


def test_the_page_may_read_why_it_was_refused(app: Flask) -> None:
    response = app.test_client().post("/v1/chat/completions", json=HI, headers={"Origin": PAGE})
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_programs_are_sent_nothing_of_it(client: FlaskClient) -> None:
    response = client.get("/v1/models")
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/api/quota", "/metrics", "/healthz", "/keys", "/login", "/v1"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_nothing_else_is_opened(client: FlaskClient, path: str, method: str) -> None:
    response = client.open(path, method=method, headers=ASKS)
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (PAGE, PAGE, PAGE),
        (f"http://localhost:3000, {PAGE}", PAGE, PAGE),
        (PAGE, "https://chat.example.evil.example", None),
        (PAGE, "null", None),
        ("none", PAGE, None),
    ],
)
def test_the_origins_may_be_named(
    services: Services, origins: str, origin: str, allowed: str | None
) -> None:
    client = opened_to(origins, services)
    response = client.get("/v1/models", headers={"Origin": origin})
    assert response.status_code == 200
    assert response.headers.get("Access-Control-Allow-Origin") == allowed
    assert ("Origin" in response.vary) == (origins != "none")


def test_what_is_no_header_name_is_not_repeated(app: Flask) -> None:
    headers = {**ASKS, "Access-Control-Request-Headers": "a:b"}
    response = app.test_client().options("/v1/models", headers=headers)
    assert "Access-Control-Allow-Headers" not in response.headers
