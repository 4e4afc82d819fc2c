"""Clients by the thousand, slow ones, half-open ones and huge ones: others are served."""

from __future__ import annotations

import json
import resource
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import requests

from tests.e2e.server import CLOCK, HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider, later, says

pytestmark = pytest.mark.e2e

CROWD = 2_000
BODY = 24 * 1024 * 1024
AT_ONCE = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with FakeProvider() as fake:
        fake.default = later(0.2, says("hello"))
        # Its own context is far larger than any body.
        text = config({"lab": fake.base_url}).replace("context = 100000", "context = 100000000")
        with Server(tmp_path_factory.mktemp("floods"), text) as server:
            yield server


def served(server: Server, times: int = 5) -> None:
    """Somebody else gets answers."""
    for _ in range(times):
        response = requests.post(
            f"{server.url}/v1/chat/completions",
            headers=server.headers(),
            json={"model": "auto", "messages": HELLO},
            timeout=PATIENCE,
        )
        assert response.status_code == 200, response.text


@contextmanager
def connections(server: Server, count: int, sending: bytes) -> Iterator[list[socket.socket]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(hard, count + 1_000))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(connected(server, sending)) for _ in range(count)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connected(server: Server, sending: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    sock.sendall(sending)
    return sock


@pytest.mark.parametrize(
    "sending",
    [
        pytest.param(b"", id="that say nothing"),
        pytest.param(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ", id="slow heads"),
    ],
)
def test_others_are_served_among_2000_connections(server: Server, sending: bytes) -> None:
    with connections(server, CROWD, sending) as crowd:
        served(server)
        for sock in crowd[::10]:
            sock.sendall(b"a")
        served(server)


def test_others_are_served_beside_bodies_that_never_end(server: Server) -> None:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: 1000\r\n\r\n"
    )
    with connections(server, 200, head.encode() + b'{"model": ') as crowd:
        for sock in crowd:
            sock.sendall(b'"')
        served(server)


def test_2000_requests_at_once_are_all_answered(server: Server) -> None:
    body = json.dumps({"model": "auto", "messages": HELLO}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    with connections(server, CROWD, head.encode() + body) as crowd:
        for sock in crowd:
            sock.settimeout(PATIENCE * 4)
        seen = Counter(sock.recv(12) for sock in crowd)
    assert set(seen) <= {b"HTTP/1.1 200", b"HTTP/1.1 429"}, seen
    assert seen[b"HTTP/1.1 200"] > CROWD * 0.9


def test_large_bodies_at_once_are_served_or_told_to_come_back(server: Server) -> None:
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "x" * BODY}]})

    def ask(_: int) -> requests.Response:
        headers = server.headers() | {"Content-Type": "application/json"}
        url = f"{server.url}/v1/chat/completions"
        return requests.post(url, data=body, headers=headers, timeout=PATIENCE * 4)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        asking = pool.map(ask, range(AT_ONCE))
        served(server)
        answers = list(asking)
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert any(answer.status_code == 200 for answer in answers)
    for refused in (answer for answer in answers if answer.status_code == 503):
        assert refused.json()["error"]["code"] == "server_busy"
        assert refused.headers["Retry-After"] == "1"


def test_bodies_of_strangers_are_thrown_away_while_others_are_served(server: Server) -> None:
    """Refused for their token before they are read; what was sent must go somewhere."""
    body, waits = b"x" * BODY, []

    def send(_: int) -> int:
        url = f"{server.url}/v1/chat/completions"
        return requests.post(url, data=body, timeout=PATIENCE * 4).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sending = [pool.submit(send, n) for n in range(2 * AT_ONCE)]
        while not all(each.done() for each in sending):
            began = CLOCK.monotonic()
            assert requests.get(f"{server.url}/healthz", timeout=PATIENCE).status_code == 200
            waits.append(CLOCK.monotonic() - began)
    assert [each.result() for each in sending] == [401] * 2 * AT_ONCE
    assert sorted(waits)[len(waits) // 2] < 1
    assert max(waits) < 5, "eight of them held all others for 28 s once"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[" * 1_000_000, id="opened a million times"),
        pytest.param(b"[" * 5_000 + b"]" * 5_000, id="5,000 deep"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="objects in objects"),
    ],
)
def test_deep_json_is_refused_and_others_are_served(server: Server, content: bytes) -> None:
    body = b'{"messages": [{"role": "user", "content": %b}]}' % content
    answer = requests.post(
        f"{server.url}/v1/chat/completions", data=body, headers=server.headers(), timeout=PATIENCE
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    served(server, 1)
