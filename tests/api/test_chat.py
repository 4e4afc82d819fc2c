"""One answer, whole or streamed, through the application in this process."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from freellmapi.api.chat import MAX_BODY
from freellmapi.services import Services
from tests.fakes.provider import FakeProvider, says, status

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"


def test_the_answer_names_the_model_that_gave_it(client: FlaskClient, fake: FakeProvider) -> None:
    fake.default = says("hello", model="alpha-2026-01-01")
    response = client.post(PATH, json=ASK)
    assert response.status_code == 200
    assert response.headers["X-Routed-Via"] == "lab/alpha"
    body = response.get_json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hello"}
    assert body["usage"]["total_tokens"] == 7


def test_every_answer_has_an_id_that_the_log_knows(client: FlaskClient, services: Services) -> None:
    ids = [client.post(PATH, json=ASK).headers["X-Request-Id"] for _ in range(2)]
    assert len(set(ids)) == 2
    rows = [services.request_log.find(id) for id in ids]
    assert [row and row.status for row in rows] == [200, 200]
    assert rows[0] is not None
    assert (rows[0].served_model, rows[0].prompt_tokens, rows[0].completion_tokens) == (
        "alpha",
        5,
        2,
    )


def test_a_stream_is_logged_once_it_is_read(client: FlaskClient, services: Services) -> None:
    response = client.post(PATH, json=ASK | {"stream": True})
    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Accel-Buffering"] == "no"
    events = response.get_data().split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    row = services.request_log.find(response.headers["X-Request-Id"])
    assert row is not None
    assert (row.status, row.stream) == (200, True)
    assert row.first_token is not None


def test_only_what_we_need_is_changed_on_the_way(client: FlaskClient, fake: FakeProvider) -> None:
    client.post(
        PATH,
        json={**ASK, "model": "lab/alpha", "top_k": 7, "user": "me", "fallbacks": ["lab/beta"]},
    )
    sent = fake.requests[0].json
    assert sent == ASK | {"model": "alpha", "top_k": 7, "user": "me"}


def test_the_second_answers_when_the_first_cannot(client: FlaskClient, fake: FakeProvider) -> None:
    fake.script = [status(429), says("second")]
    response = client.post(PATH, json=ASK)
    assert response.get_json()["choices"][0]["message"]["content"] == "second"
    assert response.headers["X-Routed-Via"] == "lab/seer"
    assert response.headers["X-Fallback-Attempts"] == "1"
    assert response.headers["X-Fallback-Trail"] == "lab/alpha=rate_limited"


def test_what_is_left_of_the_cap_is_said(client: FlaskClient) -> None:
    left = [
        client.post(PATH, json=ASK | {"model": "lab/beta"}).headers[
            "x-ratelimit-remaining-requests"
        ]
        for _ in range(3)
    ]
    assert left == ["2", "1", "0"]


def test_a_request_over_the_cap_is_told_when_to_come_back(client: FlaskClient) -> None:
    for _ in range(3):
        client.post(PATH, json=ASK | {"model": "lab/beta"})
    response = client.post(PATH, json=ASK | {"model": "lab/beta"})
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 62
    assert response.get_json()["error"]["type"] == "rate_limit_error"


def test_the_session_header_is_not_forwarded(client: FlaskClient, fake: FakeProvider) -> None:
    client.post(PATH, json=ASK, headers={"X-Session-Id": "mine", "Cookie": "a=b"})
    names = {name.lower() for name in fake.requests[0].headers}
    assert not names & {"x-session-id", "cookie", "authorization", "x-api-key"}


HOSTILE = {
    "cut": b'{"messages": [',
    "not utf-8": b'{"messages": "\xff\xfe"}',
    "lone surrogate": b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    "not a number": b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
    "huge number": b'{"messages": [{"role": "user", "content": "x"}], "seed": 1e400}',
    "many digits": b'{"messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 300 + b"}",
    "deep unknown field": b'{"messages": [{"role": "user", "content": "x"}], "x": '
    + b"[" * 900
    + b"]" * 900
    + b"}",
    "deep arguments": json.dumps(
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
            ]
        }
    )
    .encode()
    .replace(b'"arguments": {}', b'"arguments": ' + b'{"a":' * 300 + b"1" + b"}" * 300),
    "a long unknown model": json.dumps(ASK | {"model": "m" * 1_000_000}).encode(),
    "a list": b"[]",
    "nothing": b"",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bodies_are_the_clients_own_fault(
    client: FlaskClient, fake: FakeProvider, body: bytes
) -> None:
    response = client.post(PATH, data=body, content_type="application/json")
    assert 400 <= response.status_code < 500, response.get_data()
    assert response.get_json()["error"].keys() == {"message", "type", "param", "code"}
    assert not fake.requests


ODD = {
    "unknown 64-bit number": ASK | {"x": 2**64 - 1},
    "max_tokens past 64 bits": ASK | {"max_tokens": 1e25},
    "duplicate tools": ASK | {"tools": [{"function": {"name": "f"}}] * 2},
    "control characters": {"messages": [{"role": "user", "content": "\x00\x1b\u2028"}]},
    "schema of itself": ASK
    | {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}}},
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_odd_bodies_are_served(
    client: FlaskClient, fake: FakeProvider, body: dict[str, Any]
) -> None:
    fake.default = says("{}")
    # A model whose own cap on output is stated, and so is asked for no more.
    model = "lab/seer" if "max_tokens" in body else "lab/alpha"
    assert client.post(PATH, json=body | {"model": model}).status_code == 200


def test_a_hundred_thousand_messages_are_too_many_for_the_window(client: FlaskClient) -> None:
    messages = [{"role": "user", "content": "x"}] * 100_000
    response = client.post(PATH, json={"messages": messages})
    assert response.status_code in (413, 422)


def test_a_chunked_body_over_the_limit_is_413(client: FlaskClient) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x" * MAX_BODY}]}).encode()
    response = client.post(
        PATH, input_stream=io.BytesIO(body), environ_base={"wsgi.input_terminated": True}
    )
    assert response.status_code == 413


def test_a_body_over_the_limit_is_413_before_it_is_read(client: FlaskClient) -> None:
    length = {"CONTENT_LENGTH": str(26 * 2**20)}
    answer = client.post(PATH, data=b"{}", environ_overrides=length)
    assert answer.status_code == 413


def test_a_body_that_ends_early_is_not_taken_for_a_whole_one(client: FlaskClient) -> None:
    answer = client.post(PATH, json=ASK, environ_overrides={"CONTENT_LENGTH": "2000"})
    assert answer.status_code == 400
    assert answer.get_json()["error"]["code"] == "bad_request"
