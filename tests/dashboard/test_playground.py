"""The playground's page, and its door to the gateway."""

from __future__ import annotations

import json
import re

from tests.dashboard.conftest import Visitor

CHAT = "/api/playground/chat"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}


def test_the_page_names_the_models_with_auto_first(owner: Visitor) -> None:
    page = owner.get("/playground").get_data(as_text=True)
    found = re.search(r"data-choices>(.*?)</script>", page, re.S)
    assert found is not None
    choices = json.loads(found[1])
    assert choices[0]["id"] == "auto"
    lab = next(choice for choice in choices if choice["id"] == "lab/alpha")
    assert lab["why_not"] is None
    # What could answer now stands before what could not.
    usable = [choice["why_not"] is None for choice in choices[1:]]
    assert usable == sorted(usable, reverse=True)


def test_the_options_stay_folded_away(owner: Visitor) -> None:
    assert 'aria-expanded="true"' in owner.get("/playground").get_data(as_text=True)
    owner.client.set_cookie("playground_options", "folded")
    assert "data-folded" in owner.get("/playground").get_data(as_text=True)


def test_nobody_asks_without_a_session(visitor: Visitor) -> None:
    answer = visitor.send(CHAT, HELLO)
    assert answer.status_code == 401


def test_a_session_asks_with_its_csrf_token_alone(owner: Visitor) -> None:
    owner.token = ""
    answer = owner.send(CHAT, HELLO)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"]["code"] == "csrf_failed"


def test_errors_are_those_of_the_api(owner: Visitor) -> None:
    answer = owner.send(CHAT, {**HELLO, "temperature": 9})
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"]["param"] == "temperature"
