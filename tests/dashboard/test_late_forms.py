"""A form whose body does not arrive in time, as the worker says it."""

from __future__ import annotations

import io

import pytest
from flask import Flask

from freellmapi.core.errors import GatewayError


class Late(io.BytesIO):
    def readinto(self, _buffer: object) -> int:
        raise GatewayError(408, "It did not arrive in time.", code="request_timeout")


@pytest.mark.parametrize(
    ("accept", "kind"), [("text/html", "text/html"), ("application/json", "application/json")]
)
def test_it_is_told_in_the_form_that_was_asked_for(app: Flask, accept: str, kind: str) -> None:
    answer = app.test_client().post(
        "/login",
        input_stream=Late(bytes(100)),
        content_type="application/x-www-form-urlencoded",
        headers={"Accept": accept},
    )
    assert answer.status_code == 408
    assert answer.mimetype == kind
    assert "It did not arrive in time." in answer.text
