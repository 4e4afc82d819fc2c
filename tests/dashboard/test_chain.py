"""The page Chain, and what its script sends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt
from freellmapi.services import Services
from tests.dashboard.conftest import Visitor

CONFIG = """
chain = ["one/a", "two/b", "three/c", "groq/openai/gpt-oss-120b"]
[[providers]]
id = "one"
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = [{ id = "a", context = 4096, tools = true, limits = { rpm = 30, rpd = 1000 } }]
[[providers]]
id = "two"
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = [{ id = "b", context = 8192, limits = { rpd = 5000 } }]
[[providers]]
id = "three"
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = [{ id = "c", context = 8192 }]
"""


@pytest.fixture(autouse=True)
def config(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(CONFIG)


def rows(visitor: Visitor) -> list[str]:
    """The models that are asked, as the page shows them."""
    page = visitor.get("/chain").get_data(as_text=True)
    shown = page.split("data-rows", 1)[1].split("</ol>")[0]
    return re.findall(r'<li class="row" data-n="\d+" id="([^"]+)"', shown)


def state(visitor: Visitor) -> dict[str, Any]:
    found: dict[str, Any] = visitor.client.get("/api/chain").get_json()
    return found


def put(visitor: Visitor, **body: Any) -> Any:
    return visitor.send("/api/chain", {"version": state(visitor)["version"], **body}, "PUT")


def first(services: Services) -> str:
    """Who would be asked by the next call."""
    gateway = services.gateway
    chat = ChatRequest(model="auto", body={"messages": []}, prompt_tokens=1)
    return next(iter(gateway.plan(chat).candidates)).ref


def test_models_that_can_be_asked_are_rows_and_the_others_are_folded(owner: Visitor) -> None:
    assert rows(owner) == ["one/a", "two/b", "three/c"]
    page = owner.get("/chain").get_data(as_text=True)
    assert "1,000 of 1,000 requests left today" in page
    assert page.count("data-next") == 1
    assert "without a key that works" in page
    assert 'id="groq/openai/gpt-oss-120b"' not in page
    unfolded = owner.get("/chain?folded=shown").get_data(as_text=True)
    folded = unfolded.split("data-folded-rows", 1)[1]
    assert folded.split("</ul>")[0] in owner.client.get("/api/chain/folded").get_data(as_text=True)
    assert 'id="groq/openai/gpt-oss-120b"' in folded
    assert "no key" in folded and "Add a key" in folded


def test_a_new_order_is_that_of_the_next_call(owner: Visitor, services: Services) -> None:
    assert put(owner, order=["three/c", "one/a", "two/b"]).status_code == 200
    assert rows(owner) == ["three/c", "one/a", "two/b"]
    assert first(services) == "three/c"


def test_models_that_are_not_named_keep_their_places(owner: Visitor) -> None:
    before = state(owner)["order"]
    after = put(owner, order=["three/c", "one/a"]).get_json()["order"]
    assert after[:3] == ["three/c", "two/b", "one/a"]
    assert after[3:] == before[3:]


def test_a_model_is_switched_off_and_on(owner: Visitor, services: Services) -> None:
    put(owner, enabled={"one/a": False})
    assert rows(owner) == ["two/b", "three/c"]
    assert first(services) == "two/b"
    put(owner, enabled={"one/a": True})
    assert rows(owner) == ["one/a", "two/b", "three/c"]


def test_of_two_tabs_the_second_does_not_overwrite_the_first(owner: Visitor) -> None:
    seen = state(owner)["version"]
    put(owner, order=["two/b", "one/a"])
    refused = owner.send("/api/chain", {"version": seen, "order": ["three/c", "one/a"]}, "PUT")
    assert refused.status_code == 409
    assert refused.get_json()["error"]["code"] == "chain_changed"
    assert rows(owner) == ["two/b", "one/a", "three/c"]


def test_a_change_by_the_command_line_is_not_overwritten(
    owner: Visitor, services: Services
) -> None:
    seen = state(owner)["version"]
    services.config.put_settings({"strategy": "fast"})
    assert owner.send("/api/chain", {"version": seen}, "PUT").status_code == 409


def test_other_writes_are_no_conflict(owner: Visitor, services: Services) -> None:
    seen = state(owner)["version"]
    services.config.put_settings({"max_wait": 7})
    answer = owner.send("/api/chain", {"version": seen, "order": ["two/b", "one/a"]}, "PUT")
    assert answer.status_code == 200
    assert services.configuration.snapshot.settings.max_wait == 7


def test_what_was_before_can_be_sent_again(owner: Visitor) -> None:
    before = state(owner)
    put(owner, preset="quota")
    assert state(owner) != before
    put(owner, **{name: before[name] for name in ("order", "enabled", "strategy")})
    assert state(owner) == before


PRESETS = {"quota": ["two/b", "one/a", "three/c"]}


@pytest.mark.parametrize(("name", "order"), PRESETS.items(), ids=PRESETS)
def test_a_preset_orders_once(owner: Visitor, name: str, order: list[str]) -> None:
    put(owner, strategy="fast")
    assert put(owner, preset=name).get_json()["strategy"] == "priority"
    assert rows(owner) == order


def test_fastest_first_goes_by_what_was_measured(
    owner: Visitor, services: Services, clock: Any
) -> None:
    measured = services.gateway.preferences.measurements
    for model, took in (("a", 9.0), ("b", 3.0), ("c", 1.0)):
        provider = {"a": "one", "b": "two", "c": "three"}[model]
        attempt = Attempt(provider, model, "k", clock.now(), took, usage=Usage(10, 200))
        measured.record(attempt)
    put(owner, preset="fastest")
    assert rows(owner) == ["three/c", "two/b", "one/a"]
    page = owner.get("/chain").get_data(as_text=True)
    assert "100\u202f%" in page and "tok/s" in page


def test_under_a_strategy_the_order_shown_is_the_order_routed(
    owner: Visitor, services: Services
) -> None:
    for _ in range(5):
        failed = Attempt("one", "a", "k", services.clock.now(), 1.0, ErrorKind.SERVER_ERROR)
        services.gateway.preferences.measurements.record(failed)
    put(owner, strategy="reliable")
    assert rows(owner)[-1] == "one/a"
    assert state(owner)["order"][0] == "one/a"
    assert first(services) == rows(owner)[0]


def test_a_skipped_row_says_why_and_until_when(
    owner: Visitor, services: Services, clock: Any
) -> None:
    gateway = services.gateway
    candidate = gateway.configuration.snapshot.candidates["one/a"][0]
    error = UpstreamError(ErrorKind.RATE_LIMITED, "slow down", retry_after=11_520)
    gateway.tools.cooldowns.failed(candidate, error)
    clock.advance(2)
    page = owner.get("/chain").get_data(as_text=True)
    assert "skipped: rate limited" in page
    assert re.search(r"<time [^>]*data-until>in 3\u202fh", page)


def test_the_buttons_work_without_a_script(owner: Visitor, services: Services) -> None:
    for change, expected in (
        ("down:one/a", ["two/b", "one/a", "three/c"]),
        ("top:three/c", ["three/c", "two/b", "one/a"]),
        ("up:one/a", ["three/c", "one/a", "two/b"]),
        ("bottom:three/c", ["one/a", "two/b", "three/c"]),
        ("top:three/c", ["three/c", "one/a", "two/b"]),
        ("off:one/a", ["three/c", "two/b"]),
        ("on:one/a", ["three/c", "one/a", "two/b"]),
        ("preset:quota", ["two/b", "one/a", "three/c"]),
    ):
        version = state(owner)["version"]
        assert owner.post("/chain", change=change, version=version).status_code == 302
        assert rows(owner) == expected, change
    owner.post("/chain", change="strategy:smart", version=state(owner)["version"])
    assert services.configuration.snapshot.settings.strategy == "smart"


def test_the_menu_of_a_row_is_a_page_too(owner: Visitor) -> None:
    page = owner.get("/chain?model=two/b").get_data(as_text=True)
    assert "Place 2 of 3" in page
    assert re.findall(r'value="(\w+:two/b)"', page) == [
        f"{verb}:two/b" for verb in ("top", "up", "down", "bottom", "off")
    ]
    put(owner, enabled={"two/b": False})
    page = owner.get("/chain?model=two/b").get_data(as_text=True)
    assert re.findall(r'value="(\w+:two/b)"', page) == ["on:two/b"]
    assert owner.get("/chain?model=no/body").status_code == 404


def test_what_rows_say_is_told_without_the_rows(owner: Visitor, services: Services) -> None:
    seen = owner.client.get("/api/chain/live").get_json()
    assert [row[0] for row in seen["rows"]] == rows(owner)
    assert [row[1] for row in seen["rows"]] == [True, False, False]
    page = owner.get("/chain").get_data(as_text=True)
    for _, _, until, cells in seen["rows"]:
        assert until is None
        assert all(text in page and title in page for _, text, title, _ in cells)
    assert seen["folded"] in page


def test_a_stale_page_without_a_script_is_told_so(owner: Visitor) -> None:
    owner.post("/chain", change="top:three/c", version="of yesterday")
    page = owner.get("/chain").get_data(as_text=True)
    assert "changed elsewhere" in page


BAD: dict[str, tuple[dict[str, Any], str | None]] = {
    "order is no list": ({"order": "one/a"}, "order"),
    "unknown model": ({"order": ["no/body"]}, "order"),
    "twice": ({"order": ["one/a", "one/a"]}, "order"),
    "switch is no switch": ({"enabled": {"one/a": "yes"}}, "enabled"),
    "unknown switch": ({"enabled": {"no/body": True}}, "enabled"),
    "unknown strategy": ({"strategy": "luck"}, "strategy"),
    "unhashable strategy": ({"strategy": ["fast"]}, "strategy"),
    "unknown preset": ({"preset": "luck"}, "preset"),
}


@pytest.mark.parametrize(("body", "param"), BAD.values(), ids=BAD)
def test_what_makes_no_sense_is_refused(
    owner: Visitor, body: dict[str, Any], param: str | None
) -> None:
    before = state(owner)
    answer = put(owner, **body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
    assert state(owner) == before


def test_the_version_is_cheap_to_ask_and_tells_of_changes(owner: Visitor, clock: Any) -> None:
    before = owner.client.get("/api/chain/version").get_json()
    put(owner, order=["two/b", "one/a"])
    after = owner.client.get("/api/chain/version").get_json()
    assert before["version"] != after["version"]
    page = owner.client.get("/api/chain/rows").get_data(as_text=True)
    assert f'data-version="{after["version"]}"' in page
    assert "<html" not in page


def test_a_change_without_a_token_is_refused(owner: Visitor) -> None:
    before = state(owner)
    answer = owner.client.put("/api/chain", json={"version": before["version"]})
    assert answer.status_code == 400
    assert state(owner) == before
