"""Who passes to what: every route of the application, and every kind of visitor."""

from __future__ import annotations

import pytest
from flask import Flask, g

from freellmapi.core.errors import GatewayError
from freellmapi.dashboard import guard
from freellmapi.services import Services
from freellmapi.storage.accounts import Account
from tests.dashboard.conftest import NAME, PASSWORD, Visitor

ASK = {"model": "auto"}
OPEN = ("/v1", "/static/", "/healthz", "/readyz", "/metrics", "/favicon.ico", "/login", "/setup")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_every_address_is_closed_unless_it_is_meant_to_be_open(
    app: Flask, owner: Visitor, stranger: Visitor
) -> None:
    for rule in app.url_map.iter_rules():
        if rule.arguments or rule.rule.startswith(OPEN):
            continue
        method = min((rule.methods or set()) - {"HEAD", "OPTIONS"})
        response = stranger.client.open(rule.rule, method=method)
        is_closed = response.status_code == 401 or "/login" in (response.location or "")
        assert is_closed, rule.rule


def test_every_change_without_a_token_is_refused(app: Flask, owner: Visitor) -> None:
    changes = 0
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(("/v1", "/metrics")):
            continue
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<{argument}>", "1").replace(f"<int:{argument}>", "1")
        for method in (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}:
            changes += 1
            response = owner.client.open(path, method=method, json={})
            assert response.status_code == 400, f"{method} {path}"
            if path.startswith("/api/"):
                assert response.get_json()["error"]["code"] == "csrf_failed"
    assert changes >= 5


def test_a_token_of_another_session_is_no_good(owner: Visitor, stranger: Visitor) -> None:
    stranger.log_in()
    owner.token = stranger.token
    assert owner.send("/api/route/explain", ASK).status_code == 400


def test_a_refused_script_is_given_a_good_token(owner: Visitor) -> None:
    owner.token = "stale"
    owner.token = owner.send("/api/route/explain", ASK).get_json()["csrf_token"]
    assert owner.send("/api/route/explain", ASK).status_code == 200


def test_the_unified_key_needs_no_session(visitor: Visitor, services: Services) -> None:
    headers = bearer(services.tokens.reveal())
    answer = visitor.client.post("/api/route/explain", json=ASK, headers=headers)
    assert answer.status_code == 200
    assert visitor.client.get("/api/quota", headers=headers).status_code == 200


def test_the_key_of_one_client_opens_nothing_here(visitor: Visitor, services: Services) -> None:
    token = services.tokens.create("laptop")
    services.configuration.refresh()
    assert visitor.client.get("/v1/models", headers=bearer(token)).status_code == 200
    refused = visitor.client.get("/api/quota", headers=bearer(token))
    assert refused.status_code == 401
    assert refused.get_json()["error"]["code"] == "invalid_api_key"


def test_a_wrong_key_is_refused_in_spite_of_a_session(owner: Visitor) -> None:
    assert owner.client.get("/api/quota", headers=bearer("freellmapi-wrong")).status_code == 401


def test_the_key_opens_no_page(owner: Visitor, stranger: Visitor, services: Services) -> None:
    headers = bearer(services.tokens.reveal())
    assert stranger.client.get("/keys", headers=headers).status_code == 302


def test_v1_takes_no_session_for_a_key(owner: Visitor) -> None:
    assert owner.get("/v1/models").status_code == 401
    assert owner.send("/v1/chat/completions", ASK).status_code == 401


def test_without_an_account_scripts_are_told_so(visitor: Visitor) -> None:
    answer = visitor.send("/api/quota", None, "GET")
    assert answer.get_json()["error"]["code"] == "setup_required"


@pytest.mark.parametrize(("password", "status"), [("wrong horse", 403), (PASSWORD, None)])
def test_the_password_is_asked_again(
    app: Flask, services: Services, password: str, status: int | None
) -> None:
    account = services.accounts.create(NAME, PASSWORD)
    with app.test_request_context("/api/keys/reveal"):
        g.account = account
        if status is None:
            guard.confirm(password)
            return
        with pytest.raises(GatewayError) as raised:
            guard.confirm(password)
        assert (raised.value.status, raised.value.param) == (status, "password")


def test_a_program_cannot_confirm(app: Flask) -> None:
    with app.test_request_context("/api/keys/reveal"), pytest.raises(GatewayError) as raised:
        guard.confirm(PASSWORD)
    assert raised.value.status == 403


def test_who_is_logged_in_is_known(app: Flask) -> None:
    with app.test_request_context("/keys"):
        assert guard.account() is None
        g.account = Account(1, NAME, 1)
        assert guard.account() == Account(1, NAME, 1)
