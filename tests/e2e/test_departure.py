"""Clients that leave: nobody generates for them, and nothing stays reserved."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider, drips, hangs, says, stalls

pytestmark = pytest.mark.e2e

GONE = 5.0
"""Seconds; one is promised, the rest is for a busy machine."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeProvider, Server]]:
    with FakeProvider() as fake:
        text = config({"alpha": fake.base_url}, limits={"concurrency": 1}, max_wait=0)
        with Server(tmp_path_factory.mktemp("departure"), text) as server:
            yield fake, server


@pytest.fixture
def fake(running: tuple[FakeProvider, Server]) -> FakeProvider:
    found = running[0]
    found.script.clear()
    found.requests.clear()
    found.closed.clear()
    found.default = says("hi")
    return found


@pytest.fixture
def server(running: tuple[FakeProvider, Server]) -> Server:
    return running[1]


def status_of_another(server: Server) -> int:
    body = {"model": "auto", "messages": HELLO}
    url = f"{server.url}/v1/chat/completions"
    return requests.post(url, headers=server.headers(), json=body, timeout=PATIENCE).status_code


def assert_forgotten(fake: FakeProvider, server: Server, request_id: str | None = None) -> None:
    """The upstream is closed, the one place is free again, the row says 499."""
    assert fake.wait_client_gone(GONE)
    server.until(lambda: status_of_another(server) == 200, "the place is free", GONE)
    rows = [row for row in server.rows() if request_id in (None, row.request_id)]
    gone = [row for row in rows if row.status == 499]
    assert gone, [(row.request_id, row.status) for row in rows]


def test_leaving_in_the_middle_of_a_stream(fake: FakeProvider, server: Server) -> None:
    gate = threading.Event()
    fake.script = [drips("first", "second", gate=gate)]
    try:
        with server.streaming() as response:
            # Kept: a dropped iterator would close the connection.
            pieces = response.iter_content(None)
            assert b"first" in next(pieces)
            request_id = response.headers["X-Request-Id"]
            assert status_of_another(server) == 429, "the one place is taken"
        assert_forgotten(fake, server, request_id)
    finally:
        gate.set()


def test_leaving_before_the_first_token(fake: FakeProvider, server: Server) -> None:
    fake.script = [replace(stalls("never", after=0), finish="stop")]
    with leaving(server, '"stream": true,'):
        assert fake.wait_requests(1, PATIENCE)
    assert_forgotten(fake, server)


def test_leaving_while_waiting_for_a_whole_answer(fake: FakeProvider, server: Server) -> None:
    fake.script = [hangs()]
    with leaving(server, ""):
        assert fake.wait_requests(1, PATIENCE)
        assert status_of_another(server) == 429, "the one place is taken"
    assert_forgotten(fake, server)


def leaving(server: Server, fields: str) -> socket.socket:
    """A connection that has asked; it is closed at the end of the block."""
    body = f'{{{fields} "messages": [{{"role": "user", "content": "hi"}}]}}'.encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {server.token}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    connection.sendall(head.encode() + body)
    return connection
