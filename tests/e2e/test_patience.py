"""Clients that take their time: bodies that drip, and machines that vanish without a word."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.browser import network
from tests.e2e.impatient import OPTIONS, Impatient
from tests.e2e.server import CLOCK, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider, hangs, says, stalls

pytestmark = pytest.mark.e2e

ESTABLISHED, KEEPALIVE = "01", "02"
"""As /proc/net/tcp writes them."""


@contextmanager
def running(folder: Path, **environ: str) -> Iterator[tuple[FakeProvider, Server]]:
    with FakeProvider() as fake:
        fake.default = says("hi")
        text = config({"lab": fake.base_url}, max_wait=0)
        with Server(folder, text, GUNICORN_CMD_ARGS=OPTIONS, **environ) as server:
            yield fake, server


def head(server: Server, length: int, path: str = "/v1/chat/completions") -> bytes:
    content = "application/x-www-form-urlencoded" if path == "/login" else "application/json"
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("path", "length"),
    [
        ("/v1/chat/completions", 1_000),
        ("/v1/chat/completions", 10_000_000),
        ("/api/route/explain", 1_000),
        ("/login", 1_000),
    ],
)
def test_a_body_that_drips_is_given_up(tmp_path: Path, path: str, length: int) -> None:
    with running(tmp_path) as (_, server):
        began = CLOCK.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.1) as client:
            client.sendall(head(server, length, path))
            answer = b""
            while b"\r\n\r\n" not in answer:
                assert CLOCK.monotonic() - began < PATIENCE
                try:
                    answer += client.recv(10_000)
                except TimeoutError:
                    client.sendall(b" ")
            assert answer.startswith(b"HTTP/1.1 408 ")
            client.settimeout(PATIENCE)
            while client.recv(10_000):
                pass
        assert CLOCK.monotonic() - began > Impatient.body_time


def test_the_system_looks_after_silent_clients(tmp_path: Path) -> None:
    """The accepted connection has a timer of its own that runs."""
    with running(tmp_path) as (fake, server):
        fake.default = hangs()
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
            body = b'{"messages": [{"role": "user", "content": "hi"}]}'
            client.sendall(head(server, len(body)) + body)
            assert fake.wait_requests(1, PATIENCE)
            ours, theirs = f":{server.port:04X}", f":{client.getsockname()[1]:04X}"
            lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
            (timer,) = (
                line[5]
                for line in lines
                if line[1].endswith(ours) and line[2].endswith(theirs) and line[3] == ESTABLISHED
            )
            kind, _, left = timer.partition(":")
            assert kind == KEEPALIVE
            assert int(left, 16) / os.sysconf("SC_CLK_TCK") <= Impatient.vanished


@contextmanager
def machine(name: str) -> Iterator[str]:
    """Another machine, as far as the network can tell; the address under which it sees us."""
    ours, theirs = f"{name}a", f"{name}b"
    number = os.getpid() % 250 + 1
    with network(fcntl.LOCK_EX):
        yield from _connected(name, ours, theirs, number)


def _connected(name: str, ours: str, theirs: str, number: int) -> Iterator[str]:
    run("netns", "add", name)
    try:
        run("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        run("addr", "add", f"198.18.{number}.1/30", "dev", ours)
        run("link", "set", ours, "up")
        run("-n", name, "addr", "add", f"198.18.{number}.2/30", "dev", theirs)
        run("-n", name, "link", "set", theirs, "up")
        yield f"198.18.{number}.1"
        # At once; with its network it would end a little later, and its name be taken until then.
        run("link", "del", ours)
    finally:
        run("netns", "del", name)


def run(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


ASKING = """\
import socket, sys
body = b'{%s "messages": [{"role": "user", "content": "hi"}]}'
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as client:
    client.sendall(sys.argv[3].encode() + b"Content-Length: %%d\\r\\n\\r\\n" %% len(body) + body)
    sys.stdin.read()
"""


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may make a network; the timer above needs no root"
)
@pytest.mark.parametrize("fields", ["", '"stream": true,'], ids=["whole", "streamed"])
def test_a_client_whose_machine_vanished_is_noticed(tmp_path: Path, fields: str) -> None:
    name = f"flm{os.getpid()}"
    with running(tmp_path, HOST="0.0.0.0") as (fake, server), machine(name) as address:
        fake.default = replace(stalls("never", after=0), finish="stop") if fields else hangs()
        start = head(server, 0).rpartition(b"Content-Length")[0].decode()
        client = subprocess.Popen(
            [
                *f"ip netns exec {name} {sys.executable} -c".split(),
                ASKING % fields,
                address,
                str(server.port),
                start,
            ],
            stdin=subprocess.PIPE,
        )
        try:
            assert fake.wait_requests(1, PATIENCE)
            run("-n", name, "link", "set", f"{name}b", "down")
            began = CLOCK.monotonic()
            assert fake.wait_client_gone(PATIENCE), "nobody generates for it any more"
            assert CLOCK.monotonic() - began < Impatient.vanished * 3
            server.until(lambda: [r.status for r in server.rows()] == [499], "the row says so")
        finally:
            client.kill()
            client.communicate()
