"""Alive, and able to serve."""

from __future__ import annotations

from pathlib import Path

from flask.testing import FlaskClient

from freellmapi import __version__
from freellmapi.services import Services
from tests.api.conftest import CONFIG, Build, application
from tests.fakes.provider import FakeProvider, status

ASK = {"messages": [{"role": "user", "content": "hi"}]}


def test_alive_needs_no_key(services: Services) -> None:
    client = application(services).test_client()
    response = client.get("/healthz")
    assert (response.status_code, response.get_json()["version"]) == (200, __version__)


def test_ready_when_something_could_answer(client: FlaskClient) -> None:
    assert client.get("/readyz").get_json() == {"status": "ready"}


def test_not_ready_without_any_key(build: Build) -> None:
    keyed = CONFIG.format(url="https://lab.test/v1").replace('key = "none"', "")
    response = application(build(keyed)).test_client().get("/readyz")
    assert response.status_code == 503
    assert "no key" in response.get_json()["reason"]


def test_not_ready_while_all_are_limited(client: FlaskClient, fake: FakeProvider) -> None:
    fake.default = status(429, Retry_After="30")
    client.post("/v1/chat/completions", json=ASK)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "rate limited" in response.get_json()["reason"]
    assert client.get("/healthz").status_code == 200


def test_not_ready_without_its_database(
    client: FlaskClient, services: Services, tmp_path: Path
) -> None:
    if services.database.is_sqlite:
        for file in (tmp_path / "data").glob("freellmapi.db*"):
            file.unlink()
    else:
        with services.database.begin() as connection:
            connection.exec_driver_sql("DROP TABLE counters")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["reason"].startswith("database: ")
