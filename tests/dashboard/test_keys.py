"""The page Keys, by Flask's client: what it shows, what its changes do, and what it never tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from freellmapi.services import Services
from tests.dashboard.conftest import PASSWORD, Visitor
from tests.fakes.clock import FrozenClock
from tests.fakes.provider import FakeProvider
from tests.fakes.replies import status

GROQ = "gsk_" + "0not0a0real0key" * 4
SECOND = "gsk_" + "1not1a1real1key" * 4
AMBIGUOUS = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


def stored(services: Services) -> list[tuple[str, str, bool]]:
    return [(key.provider, key.label, key.enabled) for key in services.keys.all()]


def error(response: TestResponse) -> tuple[int, str | None]:
    return response.status_code, response.get_json()["error"]["param"]


def add(owner: Visitor, **fields: str) -> str:
    response = owner.send("/api/keys", {"key": GROQ, **fields})
    assert response.status_code == 200, response.get_data(as_text=True)
    return str(response.get_json()["key"])


def test_a_pasted_key_finds_its_provider_and_is_in_force(
    owner: Visitor, services: Services
) -> None:
    add(owner, label="mine")
    assert stored(services) == [("groq", "mine", True)]
    assert services.configuration.snapshot.keys["groq"][0].usable
    page = owner.get("/keys").get_data(as_text=True)
    assert "mine" in page
    assert "gsk_••••" in page
    assert GROQ not in page


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"key": ""}, "key", id="nothing"),
        pytest.param({"key": "unlike any key there is!"}, "provider", id="unknown"),
        pytest.param({"key": AMBIGUOUS, "provider": "groq"}, "key", id="of another provider"),
        pytest.param({"key": "your-key-here", "provider": "groq"}, "key", id="placeholder"),
        pytest.param({"key": GROQ, "provider": "nobody"}, "provider", id="no such provider"),
        pytest.param({"key": GROQ, "label": "x" * 61}, "label", id="long label"),
        pytest.param({"key": 7}, "key", id="not a text"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    owner: Visitor, services: Services, fields: dict[str, Any], param: str
) -> None:
    response = owner.send("/api/keys", fields)
    assert error(response) == (422, param)
    assert stored(services) == []


def test_a_key_of_an_unusual_form_can_be_insisted_on(owner: Visitor, services: Services) -> None:
    refused = owner.send("/api/keys", {"key": AMBIGUOUS, "provider": "groq"})
    assert refused.get_json()["error"]["code"] == "wrong_format"
    add(owner, key=AMBIGUOUS, provider="groq", force="yes")
    assert stored(services) == [("groq", "", True)]


def test_the_same_key_twice_is_refused(owner: Visitor, services: Services) -> None:
    add(owner)
    assert error(owner.send("/api/keys", {"key": GROQ})) == (422, "key")
    assert len(stored(services)) == 1


def test_a_removed_key_comes_back_whole(
    owner: Visitor, services: Services, clock: FrozenClock
) -> None:
    id = add(owner, label="mine")
    before = services.keys.get(int(id))
    assert owner.send(f"/api/keys/{id}/remove", {}).status_code == 200
    assert "groq" not in services.configuration.snapshot.keys
    clock.advance(11)
    assert owner.send(f"/api/keys/{id}/restore", {}).status_code == 200
    assert services.keys.get(int(id)) == before
    assert services.configuration.secret("groq", id) == GROQ


def test_undo_ends_after_a_minute(owner: Visitor, services: Services, clock: FrozenClock) -> None:
    id = add(owner)
    owner.send(f"/api/keys/{id}/remove", {})
    clock.advance(61)
    assert owner.send(f"/api/keys/{id}/restore", {}).status_code == 404
    assert stored(services) == []


def test_a_key_that_was_added_again_is_not_put_back_twice(
    owner: Visitor, services: Services
) -> None:
    id = add(owner)
    owner.send(f"/api/keys/{id}/remove", {})
    add(owner)
    assert owner.send(f"/api/keys/{id}/restore", {}).status_code == 409
    assert len(stored(services)) == 1


@pytest.mark.parametrize("verb", ["remove", "restore", "enable", "disable"])
def test_a_key_that_is_gone_is_said_to_be(owner: Visitor, verb: str) -> None:
    assert owner.send(f"/api/keys/99/{verb}", {}).status_code == 404


def test_a_disabled_key_is_kept_but_not_used(owner: Visitor, services: Services) -> None:
    id = add(owner)
    owner.send(f"/api/keys/{id}/disable", {})
    assert not services.configuration.snapshot.keys["groq"][0].usable
    assert "disabled" in owner.get("/keys").get_data(as_text=True)
    owner.send(f"/api/keys/{id}/enable", {})
    assert services.configuration.snapshot.keys["groq"][0].usable


def chain(owner: Visitor) -> dict[str, Any]:
    found: dict[str, Any] = owner.client.get("/api/chain").get_json()
    return found


def endpoint(owner: Visitor, upstream: FakeProvider, **fields: str) -> TestResponse:
    body = {"id": "box", "base_url": upstream.base_url, "name": "Box", **fields}
    return owner.send("/api/keys/endpoints", body)


def test_an_endpoint_is_asked_for_its_models(
    owner: Visitor, services: Services, upstream: FakeProvider
) -> None:
    upstream.models = ("one", "two")
    bare = upstream.base_url.removesuffix("/v1")
    assert endpoint(owner, upstream, base_url=bare).status_code == 200
    catalog = services.configuration.snapshot.catalog
    assert [m.id for m in catalog.models if m.provider == "box"] == ["one", "two"]
    assert catalog.providers["box"].base_url == upstream.base_url
    assert "Remove this endpoint" in owner.get("/keys").get_data(as_text=True)
    assert owner.send("/api/keys/endpoints/box/remove", {}).status_code == 200
    assert "box" not in services.configuration.snapshot.catalog.providers


def test_the_key_of_an_endpoint_goes_with_it(
    owner: Visitor, services: Services, upstream: FakeProvider
) -> None:
    assert endpoint(owner, upstream, key="its-own-secret").status_code == 200
    assert stored(services) == [("box", "", True)]
    owner.send("/api/keys/endpoints/box/remove", {})
    assert stored(services) == []


def test_a_removed_endpoint_comes_back_whole(
    owner: Visitor, services: Services, upstream: FakeProvider
) -> None:
    upstream.models = ("one", "two")
    endpoint(owner, upstream, key="its-own-secret")
    owner.send(
        "/api/chain",
        {"version": chain(owner)["version"], "order": ["box/two", "box/one"]},
        "PUT",
    )
    before = chain(owner)
    (key,) = services.keys.all()
    owner.send("/api/keys/endpoints/box/remove", {})
    assert "box/one" not in chain(owner)["order"]
    assert owner.send("/api/keys/endpoints/box/restore", {}).status_code == 200
    assert chain(owner) == before
    (back,) = services.keys.all()
    assert (back.id, back.mask, back.created_at) == (key.id, key.mask, key.created_at)
    assert services.configuration.secret("box", str(key.id)) == "its-own-secret"


def test_an_endpoint_does_not_come_back_over_another(
    owner: Visitor, upstream: FakeProvider, clock: FrozenClock
) -> None:
    endpoint(owner, upstream)
    owner.send("/api/keys/endpoints/box/remove", {})
    endpoint(owner, upstream)
    assert owner.send("/api/keys/endpoints/box/restore", {}).status_code == 409
    owner.send("/api/keys/endpoints/box/remove", {})
    clock.advance(61)
    assert owner.send("/api/keys/endpoints/box/restore", {}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"id": "Box!"}, "id", id="id"),
        pytest.param({"id": "groq"}, "id", id="taken"),
        pytest.param({"base_url": "box:8000"}, "base_url", id="no URL"),
        pytest.param({"base_url": "http://169.254.169.254/v1"}, "base_url", id="metadata"),
        pytest.param({"base_url": "http://user:pw@127.0.0.1/v1"}, "base_url", id="password"),
        pytest.param({"base_url": "http://127.0.0.1:1/v1"}, "base_url", id="nobody there"),
    ],
)
def test_an_endpoint_that_cannot_be_is_not_stored(
    owner: Visitor, services: Services, upstream: FakeProvider, fields: dict[str, str], param: str
) -> None:
    assert error(endpoint(owner, upstream, **fields)) == (422, param)
    assert services.config.custom_providers() == {}


def test_built_in_providers_are_not_removed(owner: Visitor) -> None:
    assert owner.send("/api/keys/endpoints/groq/remove", {}).status_code == 404


def test_a_refused_key_beside_a_good_one_is_told_as_refused(
    owner: Visitor, services: Services
) -> None:
    for state, name in (("healthy", "a"), ("invalid", "b")):
        key = services.keys.add("groq", "gsk_" + name * 52)
        services.keys.set_status(key.id, state)
    services.configuration.refresh()
    page = owner.get("/keys").get_data(as_text=True)
    row = page[page.index('data-row="groq"') :]
    head = row[: row.index("</summary>")]
    assert re.findall(r'data-state="(\w+)">([^<]+)<', head) == [
        ("healthy", "healthy"),
        ("invalid", "1 refused"),
    ]


@pytest.mark.parametrize(
    ("code", "found", "word"),
    [(200, "healthy", "healthy"), (401, "invalid", "refused"), (500, "error", "could not be")],
)
def test_a_check_asks_the_provider_and_is_kept(
    owner: Visitor, services: Services, upstream: FakeProvider, code: int, found: str, word: str
) -> None:
    endpoint(owner, upstream, key="its-own-secret")
    (key,) = services.keys.all()
    listed: dict[str, Any] = {"data": [{"id": "m"}]}
    upstream.routes["/v1/models"] = status(code, listed if code == 200 else {"error": "no"})
    said = owner.send(f"/api/keys/box/{key.id}/check", {}).get_json()
    assert said["status"] == found
    assert said["message"].startswith("Box ")
    assert services.keys.all()[0].status == found
    page = owner.get("/keys").get_data(as_text=True)
    row = page[page.index('data-row="box"') :]
    assert word in row[: row.index("</summary>")]


def test_all_keys_are_checked_at_once(
    owner: Visitor, services: Services, upstream: FakeProvider
) -> None:
    assert owner.send("/api/keys/check-all", {}).get_json()["message"].startswith("There are no")
    endpoint(owner, upstream, key="its-own-secret")
    owner.send("/api/keys", {"key": "another-of-box", "provider": "box"})
    assert owner.send("/api/keys/check-all", {}).get_json()["message"].startswith("Checked 2 keys")
    assert {key.status for key in services.keys.all()} == {"healthy"}


def test_a_pasted_env_is_shown_masked_and_then_stored(owner: Visitor, services: Services) -> None:
    text = f"GROQ_API_KEY={GROQ}\nGROQ_API_KEY_2={SECOND}\nHOME=/root\nMISTRAL_API_KEY=short"
    response = owner.send("/api/keys/preview", {"text": text})
    assert [one["verdict"] for one in response.get_json()["found"]] == [
        "new",
        "new",
        "unknown variable",
        "wrong format",
    ]
    assert GROQ not in response.get_data(as_text=True)
    assert stored(services) == []
    said = owner.send("/api/keys/import", {"text": text}).get_json()
    assert said["message"].startswith("2 keys were stored.")
    assert [provider for provider, _, _ in stored(services)] == ["groq", "groq"]


def test_far_too_long_a_text_is_refused_at_its_field(owner: Visitor) -> None:
    assert error(owner.send("/api/keys/preview", {"text": "A=b\n" * 1_000_000})) == (422, "text")


def test_the_unified_key_is_shown_for_the_password_alone(
    owner: Visitor, services: Services, clock: FrozenClock
) -> None:
    token = services.tokens.reveal()
    assert token not in owner.get("/keys").get_data(as_text=True)
    clock.advance(600)
    for password, code in (("", "password_required"), ("wrong horse", "wrong_password")):
        refused = owner.send("/api/keys/unified/reveal", {"password": password})
        assert error(refused) == (403, "password")
        assert refused.get_json()["error"]["code"] == code
    told = owner.send("/api/keys/unified/reveal", {"password": PASSWORD})
    assert told.get_json() == {"token": token}


def test_who_has_just_given_the_password_is_not_asked_for_it(
    owner: Visitor, services: Services, clock: FrozenClock
) -> None:
    def shown() -> bool:
        answer = owner.send("/api/keys/unified/reveal", {})
        return bool(answer.get_json().get("token") == services.tokens.reveal())

    assert shown()
    clock.advance(599)
    assert shown()
    clock.advance(1)
    assert not shown()
    owner.send("/api/keys/unified/reveal", {"password": PASSWORD})
    assert shown()
    # What cannot be taken back wants it each time.
    assert owner.send("/api/keys/unified/rotate", {}).status_code == 403


def test_no_program_is_shown_the_key_for_a_password_that_others_gave(
    app: Flask, services: Services
) -> None:
    headers = {"Authorization": f"Bearer {services.tokens.reveal()}"}
    answer = app.test_client().post("/api/keys/unified/reveal", json={}, headers=headers)
    assert answer.status_code == 403


def test_a_rotated_key_is_another_and_in_force_at_once(
    owner: Visitor, services: Services, app: Flask
) -> None:
    old = services.tokens.reveal()
    new = owner.send("/api/keys/unified/rotate", {"password": PASSWORD}).get_json()["token"]
    asked = app.test_client()
    codes = [
        asked.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code
        for key in (old, new)
    ]
    assert codes == [401, 200]


def test_the_first_steps_tick_themselves_off(owner: Visitor) -> None:
    def done() -> list[str]:
        page = owner.get("/keys").get_data(as_text=True)
        return re.findall(r'data-step="(\w+)" data-done', page)

    assert done() == []
    add(owner)
    assert done() == ["key"]
    owner.send("/api/keys/unified/reveal", {"password": PASSWORD})
    assert done() == ["key", "copy"]


def test_the_examples_have_the_address_of_this_server(owner: Visitor) -> None:
    page = owner.get("/keys").get_data(as_text=True)
    assert page.count("http://localhost/v1") >= 5


def test_models_are_in_the_rows_that_are_open(owner: Visitor) -> None:
    assert "openai/gpt-oss-120b" not in owner.get("/keys").get_data(as_text=True)
    opened = owner.get("/api/keys/rows?open=groq,nobody").get_data(as_text=True)
    assert "openai/gpt-oss-120b" in opened
    assert "<html" not in opened


def test_without_a_script_forms_lead_back_to_the_page(owner: Visitor, services: Services) -> None:
    response = owner.post("/api/keys", key="unlike any key")
    assert response.status_code == 302
    assert "choose whose it is" in owner.get("/keys").get_data(as_text=True)
    shown = owner.post("/api/keys/unified/reveal", password=PASSWORD)
    assert services.tokens.reveal() in shown.get_data(as_text=True)


def test_what_is_left_is_shown_with_its_reset(owner: Visitor) -> None:
    page = owner.get("/keys").get_data(as_text=True)
    row = page[page.index('data-row="lab"') :]
    assert "1,000 of 1,000 today" in row[: row.index("</summary>")]


@pytest.mark.parametrize(
    ("provider", "word"),
    [("mistral", "trains on prompts"), ("nvidia", "evaluation only"), ("groq", None)],
)
def test_a_row_warns_of_terms_before_a_key_is_got(
    owner: Visitor, provider: str, word: str | None
) -> None:
    page = owner.get("/keys").get_data(as_text=True)
    row = page[page.index(f'data-row="{provider}"') :]
    summary = row[: row.index("</summary>")]
    assert ('class="mark"' in summary) == (word is not None)
    assert (word or "") in summary
    assert f'data-add-for="{provider}"' in row


def test_the_source_of_limits_is_a_link_with_its_date(owner: Visitor) -> None:
    page = owner.get("/keys").get_data(as_text=True)
    row = page[page.index('data-row="groq"') :]
    facts = row[: row.index("</dl>")]
    link = 'href="https://console.groq.com/docs/rate-limits" rel="noopener noreferrer"'
    assert link in facts
    assert re.search(r"catalog of \d{4}-\d\d-\d\d", facts)
