"""What every answer for a browser carries."""

from __future__ import annotations

import re

import pytest

from freellmapi.web import asset_folder
from tests.dashboard.conftest import Visitor

PATHS = ("/login", "/keys", "/nowhere", "/api/quota", "/static/css/base.css", "/healthz")


@pytest.mark.parametrize("path", PATHS)
def test_everything_for_browsers_is_locked_down(owner: Visitor, path: str) -> None:
    headers = owner.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers


def test_pages_are_not_kept(owner: Visitor) -> None:
    assert owner.get("/keys").headers["Cache-Control"] == "no-store"


def test_the_api_for_programs_is_left_alone(owner: Visitor) -> None:
    response = owner.get("/v1/models")
    assert "Content-Security-Policy" not in response.headers
    assert "Set-Cookie" not in response.headers


def test_unknown_pages_say_so_in_words_and_json(owner: Visitor) -> None:
    page = owner.get("/nowhere")
    assert page.status_code == 404
    assert "There is no such page" in page.get_data(as_text=True)
    answer = owner.get("/nowhere", Accept="application/json")
    assert answer.get_json()["error"]["code"] == "not_found"
    assert owner.get("/v1/nowhere").get_json()["error"]["code"] == "not_found"


def test_a_stale_form_says_so(owner: Visitor) -> None:
    owner.token = "stale"
    page = owner.post("/logout")
    assert page.status_code == 400
    assert "Load it again" in page.get_data(as_text=True)


def test_templates_hold_nothing_that_the_policy_refuses() -> None:
    refused = re.compile(r"\sstyle=|<style|\son\w+=|javascript:|\|\s*safe\b")
    inline = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)")
    for template in asset_folder().glob("templates/**/*.html"):
        text = template.read_text()
        assert not refused.search(text), template.name
        assert not inline.search(text), template.name


def test_scripts_make_no_markup_of_data() -> None:
    refused = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(")
    for script in asset_folder().glob("static/js/**/*.js"):
        assert not refused.search(script.read_text()), script.name
