"""Keys and chain: from the environment, from the command line, while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.e2e.server import HELLO, Server, config
from tests.fakes.provider import FakeProvider, says

pytestmark = pytest.mark.e2e

FOLLOWED = 5.0
"""Seconds; two are promised, the rest is for a busy machine."""


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


def answering(server: Server, model: str = "auto") -> str:
    """Who answers now; the status of the error when nobody does."""
    with server.client() as client:
        try:
            raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
        except openai.APIStatusError as error:
            return str(error.status_code)
    return raw.headers["X-Routed-Via"]


def test_a_running_server_follows_the_command_line(tmp_path: Path, fake: FakeProvider) -> None:
    urls = dict.fromkeys(("one", "two", "three"), fake.base_url)
    order = ["one/m", "two/m", "three/m"]
    text = config(urls, chain=order, keys=[("three", "env:NEVER_SET")])
    with Server(tmp_path, text) as server:

        def becomes(model: str, name: str) -> None:
            server.until(lambda: answering(server, name) == model, f"{model} answers", FOLLOWED)

        assert answering(server) == "one/m"
        server.cli("models", "disable", "one/m")
        becomes("two/m", "auto")
        assert answering(server, "one/m") == "one/m", "asked for by name it still answers"
        server.cli("models", "enable", "one/m")
        becomes("one/m", "auto")
        server.cli("chain", "move", "two/m", "1")
        becomes("two/m", "auto")
        assert answering(server, "three/m") in ("502", "503")
        server.cli("keys", "add", "three", stdin="k3\n")
        becomes("three/m", "three/m")
        assert fake.requests[-1].key == "k3"
        old = server.token
        server.token = server.cli("token", "rotate").strip()
        becomes("two/m", "auto")
        server.token = old
        assert answering(server) == "401"


@pytest.mark.parametrize("by", ["catalog", "file"])
def test_a_key_in_the_environment_is_used_and_not_stored(
    tmp_path: Path, fake: FakeProvider, by: str
) -> None:
    text, environ, model = "", {"GROQ_API_KEY": "k-env"}, "groq/openai/gpt-oss-120b"
    if by == "catalog":
        environ["FREELLMAPI_GROQ_BASE_URL"] = fake.base_url
    else:
        text = config({"lab": fake.base_url}, keys=[("lab", "env:LAB_KEY")])
        environ, model = {"LAB_KEY": "k-env"}, "lab/m"
    fake.default = says("hi")
    with Server(tmp_path, text, **environ) as server:
        assert answering(server, model) == model
    assert fake.requests[0].key == "k-env"
    assert not any(b"k-env" in path.read_bytes() for path in server.data.rglob("*.db*"))
    assert "k-env" not in server.log()
