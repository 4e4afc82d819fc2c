"""``/api/route/explain`` and ``/api/quota``, over the whole application."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.services import Services
from tests.api.conftest import app, build, client, fake, services
from tests.fakes.provider import FakeProvider, says, status

__all__ = ["app", "build", "client", "fake", "services"]

HI = [{"role": "user", "content": "hi"}]


def explained(client: FlaskClient, **body: Any) -> Any:
    response = client.post("/api/route/explain", json=body)
    assert response.status_code == 200, response.text
    return response.json


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/route/explain"), ("GET", "/api/quota")]
)
def test_nobody_else_may_ask(app: Flask, method: str, path: str) -> None:
    stranger = app.test_client()
    assert stranger.open(path, method=method, json={}).status_code == 401
    wrong = {"Authorization": "Bearer freellmapi-wrong"}
    response = stranger.open(path, method=method, json={}, headers=wrong)
    assert response.status_code == 401
    assert (response.json or {})["error"]["code"] == "invalid_api_key"


def test_a_request_is_explained_and_nothing_is_sent(
    client: FlaskClient, fake: FakeProvider
) -> None:
    found = explained(client, model="auto", messages=HI)
    assert found["next"]["model"] == "lab/alpha"
    assert [c["model"] for c in found["candidates"]] == ["lab/alpha", "lab/seer"]
    assert [g["gate"] for g in found["next"]["gates"]] == [
        "capability",
        "key",
        "bench",
        "headroom",
    ]
    assert found["understood"] == [{"name": "auto", "kind": "chain", "models": 2}]
    assert fake.requests == []


def test_a_model_alone_is_enough(client: FlaskClient) -> None:
    assert explained(client, model="greek")["understood"][0]["kind"] == "family"


def test_live_benches_and_caps_are_shown(client: FlaskClient, services: Services) -> None:
    snapshot, tools = services.configuration.snapshot, services.gateway.tools
    (alpha,) = snapshot.candidates["lab/alpha"]
    (beta,) = snapshot.candidates["lab/beta"]
    error = UpstreamError(ErrorKind.RATE_LIMITED, "slow down", retry_after=30)
    tools.cooldowns.failed(alpha, error)
    for _ in range(3):
        tools.ledger.reserve(beta.buckets, 1, services.clock.now())

    found = explained(client, models=["lab/alpha", "lab/beta"])

    assert found["next"] is None
    assert found["opens_at"] == pytest.approx(services.clock.now() + 30, abs=2)
    bench, headroom = found["candidates"][0]["gates"][2], found["candidates"][1]["gates"][3]
    assert (bench["kind"], bench["reason"]) == ("rate_limited", "rate limited by lab, stated wait")
    assert headroom["reason"] == "3 of 3 requests this minute"
    assert headroom["windows"][0]["left"] == 0


def test_a_conversations_own_model_is_told(client: FlaskClient, fake: FakeProvider) -> None:
    fake.script = [status(500), status(500), says("hello")]
    talk = [*HI, {"role": "assistant", "content": "hello"}, *HI]
    client.post("/v1/chat/completions", json={"messages": HI})
    assert explained(client, messages=talk)["sticky"] == "lab/seer"
    assert explained(client, messages=HI)["sticky"] is None


def test_what_happened_is_found_by_the_requests_id(client: FlaskClient, fake: FakeProvider) -> None:
    fake.script = [status(429, '{"error": {"message": "slow down"}}'), says("hello")]
    answer = client.post("/v1/chat/completions", json={"messages": HI})
    assert answer.status_code == 200

    found = explained(client, request_id=answer.headers["X-Request-Id"])

    assert (found["model"], found["served_by"], found["status"]) == ("auto", "lab/seer", 200)
    refused, served = found["attempts"]
    assert (refused["model"], refused["kind"], refused["status"]) == (
        "lab/alpha",
        "rate_limited",
        429,
    )
    assert "slow down" in refused["reason"]
    assert served["answered"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        pytest.param({"request_id": "req_nobody"}, 404, "request_id", id="unknown request"),
        pytest.param({"request_id": 7}, 404, "request_id", id="an id that is none"),
        pytest.param({"model": "nobody"}, 404, "model", id="unknown model"),
        pytest.param({"messages": 7}, 400, "messages", id="a bad request"),
    ],
)
def test_errors_have_the_one_shape(
    client: FlaskClient, body: dict[str, Any], status: int, param: str
) -> None:
    response = client.post("/api/route/explain", json=body)
    assert response.status_code == status
    assert (response.json or {})["error"].keys() == {"message", "type", "param", "code"}
    assert (response.json or {})["error"]["param"] == param


def test_the_quota_of_one_provider_or_of_all(client: FlaskClient) -> None:
    client.post("/v1/chat/completions", json={"model": "lab/beta", "messages": HI})
    whole = client.get("/api/quota").json or {}
    (lab,) = [p for p in whole["providers"] if p["provider"] == "lab"]
    beta = next(m for m in lab["accounts"][0]["models"] if m["model"] == "lab/beta")
    (window,) = beta["windows"]
    assert (window["window"], window["cap"], window["used"]) == ("rpm", 3, 1)
    assert whole["today"]["requests_used"] == 1
    alone = client.get("/api/quota?provider=lab").json or {}
    assert [p["provider"] for p in alone["providers"]] == ["lab"]
    assert len(whole["providers"]) > 1


def test_no_secret_is_told(client: FlaskClient, services: Services) -> None:
    secret = "gsk_not-a-real-key-0123456789"
    services.keys.add("groq", secret)
    services.configuration.refresh()
    for response in (
        client.get("/api/quota"),
        client.post("/api/route/explain", json={"model": "groq/openai/gpt-oss-120b"}),
    ):
        assert "groq" in response.text
        assert secret not in response.text
        assert secret[4:-4] not in response.text
