"""The dashboard in this process, at a clock that stands still."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from freellmapi.app import build_services
from freellmapi.services import Services
from freellmapi.settings import Settings
from tests.fakes import postgres
from tests.fakes.application import application
from tests.fakes.clock import FrozenClock

NAME, PASSWORD = "ada", "correct horse"
OTHER_MACHINE = {"REMOTE_ADDR": "203.0.113.9"}
CONFIG = """
[[providers]]
id = "lab"
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = [{ id = "alpha", context = 4096, limits = { rpm = 30, rpd = 1000, tpd = 3000000 } }]
"""


class Visitor:
    """Somebody with a browser: sends the CSRF token of the page seen last."""

    def __init__(self, client: FlaskClient, **environ: str) -> None:
        self.client = client
        self.environ = environ
        self.token = ""

    def get(self, path: str, **headers: str) -> TestResponse:
        response = self.client.get(
            path, headers={"Accept": "text/html"} | headers, environ_overrides=self.environ
        )
        self._look(response)
        return response

    def post(self, path: str, **fields: str) -> TestResponse:
        """A form, sent as it stands on the page."""
        response = self.client.post(
            path,
            data={"csrf_token": self.token, **fields},
            headers={"Accept": "text/html"},
            environ_overrides=self.environ,
        )
        self._look(response)
        return response

    def send(self, path: str, body: Any, method: str = "POST") -> TestResponse:
        """As a script on the page does."""
        return self.client.open(
            path,
            method=method,
            json=body,
            headers={"X-CSRFToken": self.token, "Accept": "application/json"},
            environ_overrides=self.environ,
        )

    def set_up(self, **fields: str) -> TestResponse:
        self.get("/setup")
        return self.post("/setup", **{"name": NAME, "password": PASSWORD, **fields})

    def log_in(self, name: str = NAME, password: str = PASSWORD) -> TestResponse:
        self.get("/login")
        response = self.post("/login", name=name, password=password)
        if response.status_code == 302:
            self.get("/keys")
        return response

    def _look(self, response: TestResponse) -> None:
        pattern = r'name="csrf[-_]token" (?:content|value)="([^"]+)"'
        found = re.search(pattern, response.get_data(as_text=True))
        self.token = found[1] if found else self.token


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "lab.toml").write_text(CONFIG)
    return Settings.from_env(
        {
            "ENCRYPTION_KEY": "ab" * 32,
            "FREELLMAPI_DATA_DIR": str(tmp_path / "data"),
            "FREELLMAPI_CONFIG": str(tmp_path / "lab.toml"),
            "FREELLMAPI_LOG_LEVEL": "WARNING",
            **postgres.environ_in(tmp_path / "data"),
        }
    )


@pytest.fixture
def services(settings: Settings, clock: FrozenClock) -> Iterator[Services]:
    services = build_services(settings, clock)
    yield services
    services.close()


@pytest.fixture
def app(settings: Settings, services: Services) -> Flask:
    return application(settings, services)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    """Nobody in particular, on the server's own machine."""
    return Visitor(app.test_client())


@pytest.fixture
def stranger(app: Flask) -> Visitor:
    """Somebody on another machine."""
    return Visitor(app.test_client(), **OTHER_MACHINE)


@pytest.fixture
def owner(app: Flask) -> Visitor:
    """Has made the account, and is logged in."""
    visitor = Visitor(app.test_client())
    assert visitor.set_up().status_code == 302
    visitor.get("/keys")
    return visitor
