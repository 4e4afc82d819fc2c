"""The application in this process, in front of one scripted provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from freellmapi.app import build_services
from freellmapi.core.clock import SystemClock
from freellmapi.services import Services
from freellmapi.settings import Settings
from tests.fakes import application as in_process
from tests.fakes import postgres
from tests.fakes.provider import FakeProvider

CONFIG = """
chain = ["lab/alpha", "lab/seer"]
[settings]
max_wait = 0
stream_recovery = "error"
[[providers]]
id = "lab"
base_url = "{url}"
key = "none"
models = [
    {{ id = "alpha", family = "greek", context = 4096, tools = true, json_schema = true }},
    {{ id = "beta", family = "greek", context = 9000, tools = false, limits = {{ rpm = 3 }} }},
    {{ id = "seer", context = 4096, max_output = 512, vision = true, reasoning = true }},
]
"""

Build = Callable[..., Services]


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Services over a fresh database, set up by a configuration file and variables."""
    built: list[Services] = []

    def build(config: str, **environ: str) -> Services:
        file = tmp_path / "freellmapi.toml"
        file.write_text(config)
        settings = Settings.from_env(
            {
                "ENCRYPTION_KEY": "ab" * 32,
                "FREELLMAPI_DATA_DIR": str(tmp_path / "data"),
                "FREELLMAPI_CONFIG": str(file),
                **postgres.environ_in(tmp_path / "data"),
                **environ,
            }
        )
        built.append(build_services(settings, SystemClock()))
        return built[-1]

    yield build
    for services in built:
        services.close()


@pytest.fixture
def services(build: Build, fake: FakeProvider) -> Services:
    return build(CONFIG.format(url=fake.base_url))


@pytest.fixture
def app(services: Services) -> Flask:
    return application(services)


@pytest.fixture
def client(app: Flask, services: Services) -> FlaskClient:
    """A client that sends the unified key."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {services.tokens.reveal()}"
    return client


def application(services: Services) -> Flask:
    settings = Settings.from_env({"ENCRYPTION_KEY": "ab" * 32, "FREELLMAPI_LOG_LEVEL": "WARNING"})
    return in_process.application(settings, services)
