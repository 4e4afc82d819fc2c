"""What can be asked for, and whether it would be served now."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.fakes.provider import FakeProvider, status

ASK = {"messages": [{"role": "user", "content": "hi"}]}


def entry(client: FlaskClient, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/models/{name}").get_json()
    return found


def test_auto_is_first_then_families_then_each_model(client: FlaskClient) -> None:
    listed = client.get("/v1/models").get_json()
    names = [model["id"] for model in listed["data"]]
    assert listed["object"] == "list"
    assert names[0] == "auto"
    assert 0 < names.index("greek") < names.index("lab/alpha")
    assert len(set(names)) == len(names)


def test_an_entry_says_what_the_model_can(client: FlaskClient) -> None:
    alpha, seer = entry(client, "lab/alpha"), entry(client, "lab/seer")
    assert (alpha["object"], alpha["owned_by"]) == ("model", "lab")
    assert alpha["context_length"] == 4096
    assert alpha["capabilities"]["tools"] is True
    assert alpha["capabilities"]["vision"] is False
    assert "tool_choice" in alpha["supported_parameters"]
    assert seer["max_output_tokens"] == 512
    assert seer["capabilities"]["vision"] is True
    assert "reasoning_effort" in seer["supported_parameters"]
    assert (alpha["available"], alpha["unavailable_reason"]) == (True, None)


def test_a_family_can_what_one_of_its_members_can(client: FlaskClient) -> None:
    family = entry(client, "greek")
    assert family["context_length"] == 9000
    assert family["capabilities"]["tools"] is True
    assert family["owned_by"] == "freellmapi"


@pytest.mark.parametrize("name", ["auto", "auto:fast", "alpha", "greek", "lab/alpha"])
def test_every_name_a_request_may_use_can_be_looked_up(client: FlaskClient, name: str) -> None:
    assert entry(client, name)["id"] == name


@pytest.mark.parametrize("name", ["nobody/knows", "auto:quick", "x" * 5000])
def test_a_name_nobody_knows_is_404(client: FlaskClient, name: str) -> None:
    response = client.get(f"/v1/models/{name}")
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "model_not_found"
    assert len(response.get_json()["error"]["message"]) < 400


def test_a_benched_model_is_listed_with_the_reason(client: FlaskClient, fake: FakeProvider) -> None:
    fake.script = [status(429)]
    client.post("/v1/chat/completions", json={"model": "lab/alpha", **ASK})
    found = entry(client, "lab/alpha")
    assert found["available"] is False
    assert "rate limited" in found["unavailable_reason"]
    assert entry(client, "auto")["available"] is True
    assert entry(client, "greek")["available"] is True


def test_a_model_at_its_cap_says_so(client: FlaskClient) -> None:
    for _ in range(3):
        client.post("/v1/chat/completions", json={"model": "lab/beta", **ASK})
    assert entry(client, "lab/beta")["unavailable_reason"] == "at its cap"


def test_a_provider_without_a_key_says_so(client: FlaskClient) -> None:
    assert "no key" in entry(client, "groq/openai/gpt-oss-120b")["unavailable_reason"]
