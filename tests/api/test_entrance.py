"""What may be inside at once, and what those outside are told."""

from __future__ import annotations

import threading
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from freellmapi.router.entrance import LARGE
from tests.api.conftest import CONFIG, Build, application
from tests.fakes.provider import FakeProvider, drips

PATH = "/v1/chat/completions"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


def test_a_place_is_taken_until_the_stream_ends(build: Build, fake: FakeProvider) -> None:
    services = build(CONFIG.format(url=fake.base_url), FREELLMAPI_MAX_PER_TOKEN="1")
    gate = threading.Event()
    fake.default = drips("one", "two", gate=gate)
    app: Flask = application(services)
    token = services.tokens.reveal()
    headers = {"Authorization": f"Bearer {token}"}

    streaming = app.test_client().post(PATH, json=ASK | {"stream": True}, headers=headers)
    refused = app.test_client().post(PATH, json=ASK, headers=headers)
    gate.set()
    assert b"[DONE]" in streaming.get_data()
    streaming.close()
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.get_json()["error"]["code"] == "too_many_requests_at_once"
    assert app.test_client().post(PATH, json=ASK, headers=headers).status_code == 200


def test_a_failure_gives_the_place_back(build: Build, fake: FakeProvider) -> None:
    services = build(CONFIG.format(url=fake.base_url), FREELLMAPI_MAX_PER_TOKEN="1")
    client = application(services).test_client()
    headers = {"Authorization": f"Bearer {services.tokens.reveal()}"}
    for _ in range(3):
        assert client.post(PATH, data=b"{", headers=headers).status_code == 400
        assert client.post(PATH, json=ASK | {"model": "none"}, headers=headers).status_code == 404
    assert client.post(PATH, json=ASK, headers=headers).status_code == 200


def test_a_large_body_is_read_like_any_other(client: FlaskClient) -> None:
    messages = [{"role": "user", "content": "x" * 100} for _ in range(LARGE // 90)]
    refused = client.post(PATH, json={"messages": [*messages, {"role": "nobody"}]})
    assert refused.status_code == 400
    assert refused.get_json()["error"]["param"] == f"messages[{len(messages)}].role"
    understood = client.post(PATH, json={"messages": messages})
    assert understood.get_json()["error"]["code"] == "no_capable_model"
