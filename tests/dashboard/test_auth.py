"""Accounts and sessions as a browser meets them."""

from __future__ import annotations

import pytest
from flask import Flask

from freellmapi.services import Services
from tests.dashboard.conftest import NAME, OTHER_MACHINE, PASSWORD, Visitor

PAGES = ("/keys", "/chain", "/playground", "/analytics", "/settings", "/account")


def text(visitor: Visitor, path: str) -> str:
    return visitor.get(path).get_data(as_text=True)


def test_the_first_visit_leads_to_the_form_for_an_account(visitor: Visitor) -> None:
    assert visitor.get("/").location == "/setup"
    assert "Setup code" not in text(visitor, "/setup")


def test_the_account_is_logged_in_once_it_is_made(visitor: Visitor) -> None:
    assert visitor.set_up().location == "/keys"
    assert visitor.get("/keys").status_code == 200


def test_there_is_no_second_first_account(owner: Visitor, stranger: Visitor) -> None:
    assert stranger.get("/setup").location == "/login"
    stranger.get("/login")
    stranger.environ = {}
    assert stranger.post("/setup", name="eve", password=PASSWORD).location == "/login"
    assert stranger.get("/keys").status_code == 302


def test_a_stranger_needs_the_code_of_the_log(stranger: Visitor, services: Services) -> None:
    assert "Setup code" in text(stranger, "/setup")
    refused = stranger.set_up(code="AAAA-BBBB-CCCC")
    assert refused.status_code == 422
    assert "That is not the code" in refused.get_data(as_text=True)
    code = services.accounts.setup_code().lower().replace("-", " ")
    assert stranger.set_up(code=code).location == "/keys"


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        pytest.param({"X-Forwarded-For": "203.0.113.9"}, "localhost", id="behind a proxy"),
        pytest.param({}, "rebound.example", id="by a name that resolves to this machine"),
    ],
)
def test_loopback_alone_does_not_make_an_owner(
    visitor: Visitor, headers: dict[str, str], host: str
) -> None:
    page = visitor.client.get("/setup", headers={"Host": host, **headers})
    assert "Setup code" in page.get_data(as_text=True)


def test_what_is_wrong_stands_at_the_field_and_what_was_typed_stays(visitor: Visitor) -> None:
    page = visitor.set_up(name="grace", password="short")
    assert page.status_code == 422
    assert 'value="grace"' in page.get_data(as_text=True)
    assert "Use at least 8 characters." in page.get_data(as_text=True)
    assert "short" not in page.get_data(as_text=True).replace("ui.short", "")


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_without_logging_in(
    owner: Visitor, stranger: Visitor, path: str
) -> None:
    assert stranger.get(path).location == f"/login?next={path}"


def test_logging_in_leads_where_one_was_going(owner: Visitor, stranger: Visitor) -> None:
    stranger.get("/login?next=/chain")
    response = stranger.post("/login?next=/chain", name=NAME, password=PASSWORD)
    assert response.location == "/chain"


@pytest.mark.parametrize("next", ["//evil.example", "/\\evil.example", "https://evil.example", ""])
def test_logging_in_leads_nowhere_else(owner: Visitor, stranger: Visitor, next: str) -> None:
    stranger.get("/login")
    response = stranger.post(f"/login?next={next}", name=NAME, password=PASSWORD)
    assert response.location == "/keys"


@pytest.mark.parametrize(("name", "password"), [(NAME, "wrong horse"), ("nobody", PASSWORD)])
def test_a_wrong_name_and_a_wrong_password_look_alike(
    owner: Visitor, stranger: Visitor, name: str, password: str
) -> None:
    response = stranger.log_in(name, password)
    assert response.status_code == 422
    assert "Name and password do not belong together." in response.get_data(as_text=True)


def test_logging_out_ends_the_session(owner: Visitor) -> None:
    assert owner.post("/logout").location == "/login"
    assert owner.get("/keys").status_code == 302


def test_a_new_password_ends_all_other_sessions(owner: Visitor, stranger: Visitor) -> None:
    stranger.log_in()
    assert stranger.get("/keys").status_code == 200
    owner.get("/account")
    fields = {"password": "battery staple", "repeated": "battery staple"}
    assert owner.post("/account", current=PASSWORD, **fields).location == "/account"
    assert owner.get("/keys").status_code == 200
    assert stranger.get("/keys").status_code == 302
    assert stranger.log_in(password=PASSWORD).status_code == 422


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"current": "wrong horse"}, "That is not your password."),
        ({"password": "short", "repeated": "short"}, "Use at least 8 characters."),
        ({"repeated": "battery stable"}, "The two passwords differ."),
    ],
)
def test_a_new_password_is_refused_with_the_reason(
    owner: Visitor, fields: dict[str, str], said: str
) -> None:
    good = {"current": PASSWORD, "password": "battery staple", "repeated": "battery staple"}
    owner.get("/account")
    response = owner.post("/account", **good | fields)
    assert response.status_code == 422
    assert said in response.get_data(as_text=True)


def test_a_script_changes_the_password_and_is_told_at_the_field(owner: Visitor) -> None:
    good = {"current": PASSWORD, "password": "battery staple", "repeated": "battery staple"}
    owner.get("/account")
    refused = owner.send("/account", good | {"current": "wrong horse"})
    assert (refused.status_code, refused.get_json()["error"]["param"]) == (422, "current")
    assert "changed" in owner.send("/account", good).get_json()["message"]
    assert owner.get("/keys").status_code == 200


def test_the_cookie_is_for_this_site_and_no_script(app: Flask) -> None:
    visitor = Visitor(app.test_client(), **OTHER_MACHINE)
    cookie = visitor.get("/setup").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    secure = app.test_client().get("/setup", base_url="https://llm.example")
    assert "Secure" in secure.headers["Set-Cookie"]


def test_a_cookie_of_another_key_is_none(owner: Visitor, app: Flask) -> None:
    app.secret_key = b"another"
    assert owner.get("/keys").status_code == 302


def test_a_script_logs_in_without_leaving_the_page(owner: Visitor, stranger: Visitor) -> None:
    refused = stranger.send("/api/route/explain", {"model": "auto"})
    assert refused.status_code == 401
    stranger.token = refused.get_json()["csrf_token"]
    wrong = stranger.send("/login", {"name": NAME, "password": "wrong horse"})
    assert wrong.status_code == 422
    assert wrong.get_json()["error"]["param"] == "password"
    right = stranger.send("/login", {"name": NAME, "password": PASSWORD})
    assert right.get_json()["name"] == NAME
    stranger.token = right.get_json()["csrf_token"]
    assert stranger.send("/api/route/explain", {"model": "auto"}).status_code == 200
