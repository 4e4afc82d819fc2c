"""The proxy that is set in the dashboard, with the server running: the next call goes by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider
from tests.fakes.raw_server import RawServer, keeps_alive, ok

pytestmark = pytest.mark.e2e

ANSWER = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "by proxy"},
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
GOOGLE = "google/gemini-2.5-flash"
DEAD = "http://127.0.0.1:1"


def proxy() -> RawServer:
    """It alone knows the provider, and answers for it."""
    return RawServer(*[keeps_alive(*[ok(ANSWER, "Content-Type: application/json")] * 9)] * 9)


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


def set_proxy(server: Server, **fields: str) -> None:
    """As a program does with the unified key; the page sends the same."""
    answer = requests.post(
        f"{server.url}/api/settings/proxy", json=fields, headers=server.headers(), timeout=PATIENCE
    )
    assert answer.status_code == 200, answer.text


def ask(server: Server, model: str) -> requests.Response:
    return requests.post(
        f"{server.url}/v1/chat/completions",
        headers=server.headers(),
        json={"model": model, "messages": HELLO},
        timeout=PATIENCE,
    )


def content(response: requests.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def test_a_saved_proxy_is_used_for_the_next_request_and_never_gone_around(
    tmp_path: Path, fake: FakeProvider
) -> None:
    here = fake.base_url.rpartition(":")[2]
    urls = {
        "far": "http://provider.test:8099/v1",
        "near": fake.base_url,
        # A name of this machine that is not loopback: without the proxy it would answer.
        "named": f"http://0.0.0.0:{here}",
    }
    text = config(urls, max_wait=0, patience=0, probe_interval=0)
    with proxy() as one, proxy() as two, Server(tmp_path, text) as server:
        assert content(ask(server, "named/m")), "directly it answers"
        set_proxy(server, http_proxy=f"http://me:hush@127.0.0.1:{one.port}")
        assert content(ask(server, "far/m")) == "by proxy"
        assert one.seen[0].startswith(b"POST http://provider.test:8099/v1/chat/completions ")
        assert b"Proxy-Authorization: Basic bWU6aHVzaA==\r\n" in one.seen[0]
        set_proxy(server, http_proxy=f"http://127.0.0.1:{two.port}")
        assert content(ask(server, "far/m")) == "by proxy"
        assert (len(one.seen), len(two.seen)) == (1, 1)
        asked = len(fake.requests)
        set_proxy(server, http_proxy=DEAD)
        for model in ("far/m", "named/m"):
            assert ask(server, model).status_code in (502, 503)
        assert len(fake.requests) == asked, "a dead proxy was gone around"
        assert content(ask(server, "near/m")), "loopback goes without"
        for _ in range(3):
            ask(server, "far/m")
        set_proxy(server, http_proxy=f"http://127.0.0.1:{two.port}")
        assert content(ask(server, "far/m")) == "by proxy", "still benched for the dead proxy"
        assert "hush" not in server.log()


def test_checks_of_keys_and_fetched_images_go_by_it_too(tmp_path: Path, fake: FakeProvider) -> None:
    text = config({"far": "http://provider.test:8099/v1"}, max_wait=0, probe_interval=0)
    environ = {"FREELLMAPI_GOOGLE_BASE_URL": fake.base_url}
    with proxy() as one, Server(tmp_path, text, **environ) as server:
        server.cli("keys", "add", "far", "--force", stdin="k-far\n")
        server.cli("keys", "add", "google", "--force", stdin="k-google\n")
        set_proxy(server, http_proxy=f"http://127.0.0.1:{one.port}")
        checked = requests.post(
            f"{server.url}/api/keys/check-all", json={}, headers=server.headers(), timeout=PATIENCE
        )
        assert checked.status_code == 200, checked.text
        server.cli("keys", "check")
        asked = [line for line in one.seen if line.startswith(b"GET http://provider.test:8099/v1/")]
        assert len(asked) >= 2, "the page's check and the command's"
        url = {"type": "image_url", "image_url": {"url": "http://images.test/a.png"}}
        refused = requests.post(
            f"{server.url}/v1/chat/completions",
            headers=server.headers(),
            json={"model": GOOGLE, "messages": [{"role": "user", "content": [url]}]},
            timeout=PATIENCE,
        )
        assert "outbound proxy" in refused.text, refused.text


def test_it_outlives_a_restart_and_another_encryption_key(tmp_path: Path) -> None:
    text = config({"far": "http://provider.test:8099/v1"}, max_wait=0)
    with proxy() as one, Server(tmp_path, text, HTTP_PROXY=DEAD) as server:
        set_proxy(server, http_proxy=f"http://127.0.0.1:{one.port}")
        key = "cd" * 32
        server.cli("rotate-encryption-key", "--key-stdin", stdin=f"{key}\n")
        assert content(ask(server, "far/m")) == "by proxy"
        server.environ["ENCRYPTION_KEY"] = key
        server.cli("rotate-encryption-key", "--finish")
        assert server.stop() == 0
        server.start()
        assert content(ask(server, "far/m")) == "by proxy"
        assert len(one.seen) == 2


def test_the_configuration_file_sets_one_too(tmp_path: Path) -> None:
    text = config({"far": "http://provider.test:8099/v1"}, max_wait=0, patience=0)
    with proxy() as one, proxy() as two:
        file = text + '[network]\nhttp_proxy = "env:WAY_OUT"\n'
        way = f"http://me:hush@127.0.0.1:{one.port}"
        with Server(tmp_path, file, HTTP_PROXY=DEAD, WAY_OUT=way) as server:
            assert content(ask(server, "far/m")) == "by proxy", "the file outweighs the environment"
            assert b"Proxy-Authorization: Basic bWU6aHVzaA==\r\n" in one.seen[0]
            set_proxy(server, http_proxy=f"http://127.0.0.1:{two.port}")
            assert content(ask(server, "far/m")) == "by proxy"
            assert (len(one.seen), len(two.seen)) == (1, 1), "what is saved outweighs the file"
            requests.delete(
                f"{server.url}/api/settings/proxy", headers=server.headers(), timeout=PATIENCE
            )
            wrong = text + f'[network]\nhttp_proxy = "ftp://me:hush@127.0.0.1:{two.port}"\n'
            server.config_file.write_text(wrong)
            server.until(lambda: "network.http_proxy" in server.log(), "the file is read anew")
            assert ask(server, "far/m").status_code in (502, 503)
            server.config_file.write_text(
                text + f'[network]\nhttp_proxy = "http://127.0.0.1:{two.port}"\n'
            )
            server.until(lambda: ask(server, "far/m").status_code == 200, "it is mended")
            assert len(one.seen) == 1
            assert "hush" not in server.log()
