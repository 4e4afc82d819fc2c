"""``/v1/openapi.json`` is valid, and what the server takes and gives is what it says."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.test import TestResponse

from freellmapi.api.chat import MAX_BODY
from freellmapi.api.openapi import document
from freellmapi.api.openapi_answers import OWN_CODES, SAYS
from freellmapi.api.schema import chat_request
from freellmapi.core.errors import POLICY, GatewayError
from freellmapi.services import Services
from tests.api.conftest import CONFIG, Build, application
from tests.fakes.provider import (
    FakeProvider,
    Reply,
    calls_tool,
    errors_in_band,
    hangs,
    refuses,
    status,
    streams,
)

SPEC = document()
CHAT = SPEC["paths"]["/chat/completions"]["post"]
HI: list[Any] = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
_REGISTRY: Registry[Any] = Registry().with_resource(
    "spec", Resource.from_contents(SPEC, default_specification=DRAFT202012)
)


def schema_of(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"spec#/components/schemas/{name}"}, registry=_REGISTRY)


def described(response: TestResponse, operation: dict[str, Any]) -> Any:
    """Checks a whole answer against its description; its JSON."""
    answer = operation["responses"][str(response.status_code)]
    assert response.mimetype in answer["content"]
    for name, header in answer["headers"].items():
        told = SPEC["components"]["headers"][header["$ref"].rpartition("/")[2]]
        assert name in response.headers or not told.get("required")
    known = {name.lower() for name in answer["headers"]}
    ours = {n.lower() for n, _ in response.headers if re.match(r"(?i)x-|retry-after", n)}
    assert ours - {"x-accel-buffering"} <= known
    if response.mimetype != "application/json":
        return None
    body = response.get_json()
    ref = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema_of(ref).validate(body)
    return body


def test_it_is_valid_and_open_to_all(app: Flask) -> None:
    response = app.test_client().get("/v1/openapi.json")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    validate(response.get_json())
    again = app.test_client().get(
        "/v1/openapi.json", headers={"If-None-Match": response.headers["ETag"]}
    )
    assert again.status_code == 304


def test_every_path_is_described(app: Flask) -> None:
    served = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    told = {(f"/v1{path}", m) for path, methods in SPEC["paths"].items() for m in methods}
    assert served == told


def test_every_status_of_a_failure_is_described() -> None:
    statuses = {p.status for p in POLICY.values()} | (OWN_CODES.keys() - {405})
    assert {str(code) for code in statuses} | {"200"} == CHAT["responses"].keys()
    assert SAYS.keys() == OWN_CODES.keys()


IMAGE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"schema": {}}}
TAKEN: dict[str, dict[str, Any]] = {
    "least": {},
    "nulls": {"model": None, "temperature": None, "stop": None, "tools": None, "n": None},
    "chain": {"model": "", "models": ["a", "b"], "fallbacks": []},
    "knobs": {"temperature": 2, "top_p": 0, "seed": -1, "logprobs": True, "top_logprobs": 20},
    "whole numbers": {"seed": -1428.0, "top_logprobs": 2.0, "n": 1.0},
    "caps": {"max_tokens": 5.0, "max_completion_tokens": -1},
    "stops": {"stop": ["a", ""]},
    "stop": {"stop": "a"},
    "stream": {"stream": True, "stream_options": {"include_usage": "no"}},
    "tools": {"tools": [TOOL], "tool_choice": "any"},
    "bare tools": {"functions": [{"name": "look"}], "function_call": {"name": "look"}},
    "choice": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}},
    "choice by type": {"tools": [TOOL], "tool_choice": {"type": "auto"}},
    "schema": {"response_format": JSON_SCHEMA},
    "text": {"response_format": {"type": "text"}},
    "more": {"metadata": {"a": 1}, "session_id": "s", "user": "u"},
    "no session": {"session_id": 5},
    "no content": {"messages": [{"role": "assistant", "content": None}]},
    "parts": {"messages": [{"role": "user", "content": ["a", {"text": "b"}, IMAGE]}]},
    "one part": {
        "messages": [{"role": "developer", "content": {"type": "input_text", "text": ""}}]
    },
    "image as text": {
        "messages": [
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;,"}]}
        ]
    },
    "other part": {"messages": [{"role": "user", "content": [{"type": "file", "file": 1}]}]},
    "calls": {"messages": [CALL, {"role": "tool", "content": "x"}]},
    "old call": {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
}
REFUSED: dict[str, dict[str, Any]] = {
    "no messages": {"messages": []},
    "messages": {"messages": {}},
    "message": {"messages": ["hi"]},
    "role": {"messages": [{"role": "robot", "content": "x"}]},
    "no role": {"messages": [{"content": "x"}]},
    "content": {"messages": [{"role": "user", "content": 5}]},
    "part": {"messages": [{"role": "user", "content": [5]}]},
    "part without type": {"messages": [{"role": "user", "content": [{"a": 1}]}]},
    "text": {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
    "image": {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    "image scheme": {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": "file:///etc/passwd"}]}
        ]
    },
    "call": {"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
    "model": {"model": 5},
    "long model": {"model": "x" * 257},
    "models": {"models": "x"},
    "blank model": {"models": [" "]},
    "too many": {"models": ["x"] * 51},
    "n": {"n": 2},
    "n as flag": {"n": True},
    "hot": {"temperature": 2.1},
    "warm": {"temperature": "1"},
    "top_p": {"top_p": -0.1},
    "seed": {"seed": 2**63},
    "small seed": {"seed": -(2**63) - 1},
    "half a seed": {"seed": 1.5},
    "flag": {"logprobs": 1},
    "bias": {"logit_bias": []},
    "effort": {"reasoning_effort": 3},
    "stream": {"stream": "yes"},
    "options": {"stream_options": True},
    "max_tokens": {"max_tokens": 1.5},
    "max_tokens as text": {"max_tokens": "5"},
    "stop": {"stop": 5},
    "stops": {"stop": [5]},
    "tools": {"tools": {"a": 1}},
    "no list of tools": {"tools": {}},
    "no list of functions": {"functions": ""},
    "no list of calls": {"messages": [{"role": "assistant", "tool_calls": {}}]},
    "tool": {"tools": [5]},
    "tool without name": {"tools": [{"type": "function", "function": {}}]},
    "parameters": {"tools": [{"function": {"name": "f", "parameters": []}}]},
    "choice": {"tools": [TOOL], "tool_choice": "maybe"},
    "format": {"response_format": "json"},
    "form": {"response_format": {"type": "xml"}},
    "no schema": {"response_format": {"type": "json_schema"}},
}


@pytest.mark.parametrize("fields", TAKEN.values(), ids=list(TAKEN))
def test_what_is_taken_is_described_so(fields: dict[str, Any]) -> None:
    body = orjson.loads(orjson.dumps({"messages": HI, **fields}))
    chat_request(dict(body))
    schema_of("ChatRequest").validate(body)


@pytest.mark.parametrize("fields", REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_is_described_so(fields: dict[str, Any]) -> None:
    body = {"messages": HI, **fields}
    with pytest.raises(GatewayError):
        chat_request(dict(body))
    assert not schema_of("ChatRequest").is_valid(body)


@pytest.mark.parametrize("reply", [None, calls_tool("look", "{}")], ids=["text", "tool call"])
def test_an_answer_is_as_described(
    client: FlaskClient, fake: FakeProvider, reply: Reply | None
) -> None:
    if reply is not None:
        fake.default = reply
    body = {"model": "lab/alpha", "messages": HI, "tools": [TOOL]}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    described(response, CHAT)


@pytest.mark.parametrize(
    "reply",
    [streams("a", "b"), calls_tool("look", "{}"), errors_in_band({"message": "broken"}, after=1)],
    ids=["text", "tool call", "broken"],
)
def test_a_stream_is_as_described(client: FlaskClient, fake: FakeProvider, reply: Reply) -> None:
    fake.default = reply
    options = {"stream": True, "stream_options": {"include_usage": True}}
    body = {"model": "lab/alpha", "messages": HI, "tools": [TOOL], **options}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    described(response, CHAT)
    events = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert len(events) > 1
    for event in events:
        if event != "[DONE]":
            found = orjson.loads(event)
            schema_of("Error" if "error" in found else "ChatCompletionChunk").validate(found)


def test_models_are_as_described(client: FlaskClient) -> None:
    described(client.get("/v1/models"), SPEC["paths"]["/models"]["get"])
    one = SPEC["paths"]["/models/{name}"]["get"]
    assert described(client.get("/v1/models/lab%2Falpha"), one)["id"] == "lab/alpha"
    described(client.get("/v1/models/nobody"), one)


FAILURES: dict[str, tuple[Reply, int]] = {
    "limited": (status(429, Retry_After="9"), 429),
    "refused": (status(400), 400),
    "gone": (status(404), 404),
    "rejected": (status(401), 502),
    "silent": (hangs(), 504),
}


@pytest.mark.parametrize(("reply", "code"), FAILURES.values(), ids=list(FAILURES))
def test_failures_of_providers_are_as_described(
    build: Build, fake: FakeProvider, reply: Reply, code: int
) -> None:
    quick = "max_wait = 0\nlast_first_byte_timeout = 0.3\nfirst_byte_timeout = 0.3"
    services = build(CONFIG.replace("max_wait = 0", quick).format(url=fake.base_url))
    fake.default = reply
    response = ask(services, {"model": "lab/alpha", "messages": HI})
    assert response.status_code == code
    assert_code(response)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"messages": []}, 400),
        ({"model": "nobody", "messages": HI}, 404),
        ({"model": "lab/beta", "messages": HI, "tools": [TOOL]}, 422),
    ],
)
def test_refusals_are_as_described(services: Services, body: dict[str, Any], code: int) -> None:
    response = ask(services, body)
    assert response.status_code == code
    assert_code(response)


def test_nobody_there_and_nothing_configured_are_as_described(build: Build) -> None:
    response = ask(build(CONFIG.format(url=refuses())), {"model": "lab/alpha", "messages": HI})
    assert response.status_code == 502
    assert_code(response)
    keyed = CONFIG.format(url="https://lab.test/v1").replace('key = "none"', "")
    response = ask(build(keyed), {"messages": HI})
    assert response.status_code == 503
    assert_code(response)


def test_a_stranger_and_too_large_a_body_are_as_described(app: Flask, services: Services) -> None:
    response = app.test_client().post("/v1/chat/completions", json={})
    assert response.status_code == 401
    assert_code(response)
    token = f"Bearer {services.tokens.reveal()}"
    response = app.test_client().post(
        "/v1/chat/completions", data=b"x" * (MAX_BODY + 1), headers={"Authorization": token}
    )
    assert response.status_code == 413
    assert_code(response)


def ask(services: Services, body: dict[str, Any]) -> TestResponse:
    headers = {"Authorization": f"Bearer {services.tokens.reveal()}"}
    client = application(services).test_client()
    return client.post("/v1/chat/completions", json=body, headers=headers)


def assert_code(response: TestResponse) -> None:
    """The error is of the shape described, and its code is among those listed."""
    error = described(response, CHAT)["error"]
    told = CHAT["responses"][str(response.status_code)]["description"]
    assert error["code"] in told.rpartition("Codes: ")[2].rstrip(".").split(", ")


def test_the_page_for_people_is_open_and_loads_nothing_from_elsewhere(app: Flask) -> None:
    response = app.test_client().get("/v1/docs")
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "<script" not in response.text
    assert " style=" not in response.text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', response.text)
    for name in SPEC["components"]["schemas"]["ChatRequest"]["properties"]:
        assert f"<code>{name}</code>" in response.text
    assert "<td>array of Tool</td>" in response.text
    assert "<td>none, auto, required, any or object</td>" in response.text
    for code in CHAT["responses"]:
        assert f"<code>{code}</code>" in response.text


def test_the_page_names_the_address_it_was_asked_at_safely(app: Flask) -> None:
    response = app.test_client().get("/v1/docs", headers={"Host": "box.lan:3001"})
    assert "http://box.lan:3001/v1/chat/completions" in response.text
    bad = app.test_client().get("/v1/docs", headers={"Host": 'x"><b>'})
    assert "<b>" not in bad.text
