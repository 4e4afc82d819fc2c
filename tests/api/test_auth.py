"""The door of ``/v1``."""

from __future__ import annotations

import pytest
from flask import Flask

from freellmapi.services import Services

SHAPE = {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer {token}"},
        {"Authorization": "bearer  {token} "},
        {"x-api-key": "{token}"},
        {"Authorization": "Basic abc", "x-api-key": "{token}"},
        {"Authorization": "Bearer", "x-api-key": "{token}"},
    ],
)
def test_the_unified_key_opens_it(app: Flask, services: Services, headers: dict[str, str]) -> None:
    token = services.tokens.reveal()
    given = {name: value.format(token=token) for name, value in headers.items()}
    assert app.test_client().get("/v1/models", headers=given).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": "{token}"},
        {"Authorization": "Bearer {token}x"},
        {"Authorization": "Bearer freellmapi-0000"},
        {"Authorization": "Bearer schlüssel".encode().decode("latin-1")},
        {"Authorization": "Bearer wrong", "x-api-key": "{token}"},
        {"x-api-key": "wrong"},
    ],
)
def test_anything_else_is_401(app: Flask, services: Services, headers: dict[str, str]) -> None:
    token = services.tokens.reveal()
    given = {name: value.format(token=token) for name, value in headers.items()}
    response = app.test_client().get("/v1/models", headers=given)
    assert response.status_code == 401
    error = response.get_json()["error"]
    assert error.keys() == SHAPE
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert token not in error["message"]


def test_a_key_that_was_rotated_no_longer_opens_it(app: Flask, services: Services) -> None:
    old = services.tokens.reveal()
    new = services.tokens.rotate()
    services.configuration.refresh()
    client = app.test_client()
    statuses = [
        client.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code
        for key in (old, new)
    ]
    assert statuses == [401, 200]
