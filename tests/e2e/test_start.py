"""What a server loads at its start, and what only once somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.e2e

LATER = (
    "flask",
    "werkzeug",
    "jinja2",
    "click",
    "wtforms",
    "flask_wtf",
    "prometheus_client",
    "freellmapi.dashboard",
    "freellmapi.web",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with FakeProvider() as fake:
        server = Server(tmp_path, config({"lab": fake.base_url}))
        server.app = ("tests.e2e.loaded_app:app",)
        with server:
            yield server


def loaded(server: Server) -> set[str]:
    """The modules of its worker."""
    return set(server.get("/loaded").text.splitlines())


def test_programs_alone_never_load_flask_or_the_dashboard(server: Server) -> None:
    with server.client() as client:
        answer = client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.choices[0].message.content
    assert server.get("/v1/models").status_code == 200
    assert server.get("/readyz").status_code == 200
    body = {"model": "auto", "messages": []}
    url = f"{server.url}/v1/chat/completions"
    assert requests.post(url, json=body, timeout=PATIENCE).status_code == 401
    refused = requests.post(url, json=body, headers=server.headers(), timeout=PATIENCE)
    assert refused.status_code == 400
    assert "freellmapi.api.door" in loaded(server)
    assert not loaded(server).intersection(LATER)


def test_two_who_come_first_at_once_both_get_their_page(server: Server) -> None:
    def visited(path: str) -> requests.Response:
        return requests.get(server.url + path, headers={"Accept": "text/html"}, timeout=PATIENCE)

    with ThreadPoolExecutor(4) as pool:
        setup, again, script, unknown = pool.map(
            visited, ("/setup", "/setup", "/favicon.ico", "/v1/nothing")
        )
    for page in (setup, again):
        assert page.status_code == 200
        assert 'name="password"' in page.text
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert script.headers["Content-Type"].startswith("image/svg+xml")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "not_found"
    assert "freellmapi.dashboard.frame" in loaded(server)
    assert "Traceback" not in server.log()
