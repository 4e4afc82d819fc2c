"""One error body on ``/v1``, for every status, as the official client reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from flask import Flask

from freellmapi.api import models
from freellmapi.api.chat import MAX_BODY
from freellmapi.services import Services
from tests.api.conftest import CONFIG, Build, app, application, build, fake, services
from tests.fakes.provider import FakeProvider, Reply, hangs, refuses, resets, status

__all__ = ["app", "build", "fake", "services"]

MEMBERS = {"message", "type", "param", "code"}
HI: Any = [{"role": "user", "content": "hi"}]
IMAGE: Any = [
    {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}],
    }
]
TOOL: Any = {"type": "function", "function": {"name": "f"}}


def talking_to(app: Flask, key: str) -> openai.OpenAI:
    transport = httpx2.WSGITransport(app=app)
    return openai.OpenAI(
        base_url="http://freellmapi.test/v1",
        api_key=key,
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


@pytest.fixture
def client(app: Flask, services: Services) -> Iterator[openai.OpenAI]:
    with talking_to(app, services.tokens.reveal()) as client:
        yield client


def assert_canonical(error: openai.APIStatusError, status: int, code: str | None) -> None:
    """The whole body is one ``error`` object of four members, and the client knows them."""
    assert error.status_code == status
    body = error.response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == MEMBERS
    assert isinstance(body["error"]["message"], str)
    assert isinstance(body["error"]["type"], str)
    assert body["error"]["message"]
    assert error.code == code
    assert error.response.headers["X-Request-Id"] == error.request_id


def ask(client: openai.OpenAI, **fields: Any) -> None:
    client.chat.completions.create(**{"model": "lab/alpha", "messages": HI, **fields})


@pytest.mark.parametrize("key", ["wrong", "freellmapi-" + "0" * 48])
def test_a_wrong_key(app: Flask, key: str) -> None:
    with talking_to(app, key) as client, pytest.raises(openai.AuthenticationError) as raised:
        ask(client)
    assert_canonical(raised.value, 401, "invalid_api_key")
    assert raised.value.type == "authentication_error"


def test_an_unknown_path(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="/v1/embeddings") as raised:
        client.embeddings.create(model="m", input="x")
    assert_canonical(raised.value, 404, "not_found")


def test_a_wrong_method(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.get("/chat/completions", cast_to=object)
    assert_canonical(raised.value, 405, "method_not_allowed")
    assert "POST" in raised.value.response.headers["Allow"]


def test_a_doubled_slash_is_found_all_the_same(app: Flask, services: Services) -> None:
    headers = {"Authorization": f"Bearer {services.tokens.reveal()}"}
    response = app.test_client().get("/v1//models", headers=headers, follow_redirects=True)
    assert response.status_code == 200


def test_an_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="'lab/alpha'") as raised:
        ask(client, model="lab/alhpa")
    assert_canonical(raised.value, 404, "model_not_found")
    assert raised.value.param == "model"


def test_a_body_that_is_too_large(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="larger than 25 MB") as raised:
        ask(client, messages=[{"role": "user", "content": "x" * MAX_BODY}])
    assert_canonical(raised.value, 413, "request_entity_too_large")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"extra_body": {"models": "x"}}, "models"),
    ],
)
def test_a_bad_request(client: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, **fields)
    assert_canonical(raised.value, 400, "invalid_value")
    assert raised.value.param == param


def test_a_body_that_is_no_json(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", cast_to=object, content=b"{")
    assert_canonical(raised.value, 400, "invalid_json")


@pytest.mark.parametrize(
    "fields", [{"messages": IMAGE}, {"model": "lab/beta", "tools": [TOOL]}], ids=["image", "tools"]
)
def test_no_model_that_can(client: openai.OpenAI, fields: dict[str, Any]) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        ask(client, **fields)
    assert_canonical(raised.value, 422, "no_capable_model")


UPSTREAM: dict[str, tuple[Reply, int, type[openai.APIStatusError], str]] = {
    "limited": (status(429, Retry_After="9"), 429, openai.RateLimitError, "rate_limited"),
    "refused": (status(400), 400, openai.BadRequestError, "request_refused"),
    "gone": (status(404), 404, openai.NotFoundError, "model_not_found"),
    "rejected key": (
        status(401),
        502,
        openai.InternalServerError,
        "provider_authentication_failed",
    ),
    "broken": (status(500), 502, openai.InternalServerError, "provider_error"),
    "reset": (resets(), 502, openai.InternalServerError, "provider_error"),
    "silent": (hangs(), 504, openai.InternalServerError, "provider_timeout"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("reply", "code", "kind", "said"), UPSTREAM.values(), ids=list(UPSTREAM))
def test_a_failure_of_the_provider(
    build: Build,
    fake: FakeProvider,
    reply: Reply,
    code: int,
    kind: type[openai.APIStatusError],
    said: str,
    stream: bool,
) -> None:
    quick = CONFIG.replace("max_wait = 0", "max_wait = 0\nlast_first_byte_timeout = 0.3")
    quick = quick.replace("max_wait = 0", "max_wait = 0\nfirst_byte_timeout = 0.3")
    services = build(quick.format(url=fake.base_url))
    fake.default = reply
    with talking_to(application(services), services.tokens.reveal()) as client:
        with pytest.raises(kind) as raised:
            ask(client, stream=stream)
    assert_canonical(raised.value, code, said)
    assert ("Retry-After" in raised.value.response.headers) == (code == 429)


def test_a_provider_that_is_not_there(build: Build) -> None:
    services = build(CONFIG.format(url=refuses()))
    with talking_to(application(services), services.tokens.reveal()) as client:
        with pytest.raises(openai.InternalServerError) as raised:
            ask(client)
    assert_canonical(raised.value, 502, "provider_unreachable")


def test_a_used_up_cap(client: openai.OpenAI) -> None:
    for _ in range(3):
        ask(client, model="lab/beta")
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client, model="lab/beta")
    assert_canonical(raised.value, 429, "rate_limited")
    assert int(raised.value.response.headers["Retry-After"]) > 0


def test_nothing_configured(build: Build) -> None:
    keyed = CONFIG.format(url="https://lab.test/v1").replace('key = "none"', "")
    services = build(keyed)
    with talking_to(application(services), services.tokens.reveal()) as client:
        with pytest.raises(openai.InternalServerError) as raised:
            ask(client, model="lab/alpha")
    assert_canonical(raised.value, 503, "no_providers_configured")


@pytest.mark.parametrize("name", ["list_models", "one_model"])
def test_what_nobody_expected(
    name: str, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Flask, and by Flask."""

    def breaks(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(models, name, breaks)
    with pytest.raises(openai.InternalServerError) as raised:
        client.models.list() if name == "list_models" else client.models.retrieve("auto")
    assert_canonical(raised.value, 500, "internal_error")
    assert "secret detail" not in raised.value.response.text
