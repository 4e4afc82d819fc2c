"""Name servers that are silent, fail, or come back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from freellmapi.background import off_hub
from freellmapi.core.cancel import Cancellation
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.origins import RESOLVED_FOR
from freellmapi.providers.transport import Endpoint, Transport
from tests.fakes.clock import FrozenClock
from tests.fakes.provider import FakeProvider, status


class NameServer:
    """In place of gevent's resolver; looks up in its thread pool, as that does."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.fails = False
        self.asked = 0

    def getaddrinfo(self, host: Any, port: int, *rest: Any) -> Any:
        self.asked += 1
        if self.fails:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        gevent.get_hub().threadpool.apply(self.answers.wait, (30,))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def names() -> Iterator[NameServer]:
    hub = gevent.get_hub()
    before, names = hub.resolver, NameServer()
    hub.resolver = names
    yield names
    names.answers.set()
    hub.resolver = before


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def transport(clock: FrozenClock) -> Iterator[Transport]:
    transport = Transport(clock)
    yield transport
    transport.close()
    gevent.sleep(0.001)


def ask(transport: Transport, port: int, timeout: float = 2) -> int:
    response = transport.post(
        Endpoint(f"http://lab.example:{port}/v1", {}),
        "/chat/completions",
        b"{}",
        connect_timeout=timeout,
        first_byte_timeout=5,
        cancel=Cancellation(),
    )
    response.read(5)
    return response.status


def test_a_silent_name_server_costs_one_connect_timeout_and_holds_nobody(
    names: NameServer, transport: Transport
) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            gevent.sleep(0.01)
            ticks += 1

    ticking = gevent.spawn(tick)
    began = time.monotonic()
    with pytest.raises(UpstreamError) as caught:
        ask(transport, 9, timeout=0.5)
    ticking.kill()
    assert caught.value.kind is ErrorKind.TIMEOUT
    assert time.monotonic() - began < 5
    assert ticks > 5


def test_jobs_go_on_while_every_look_up_hangs(names: NameServer, transport: Transport) -> None:
    asking = [gevent.spawn(ask, transport, port, 5) for port in range(1, 21)]
    gevent.sleep(0.1)
    assert names.asked == 20
    with gevent.Timeout(10):
        assert off_hub(lambda: "done") == "done"
    assert not names.answers.is_set()
    gevent.killall(asking)


def test_addresses_that_were_good_serve_while_names_cannot_be_resolved(
    names: NameServer, transport: Transport, clock: FrozenClock
) -> None:
    names.answers.set()
    with FakeProvider() as fake:
        fake.default = status(200, {}, Connection="close")
        assert ask(transport, fake.port) == 200
        names.fails = True
        clock.advance(RESOLVED_FOR + 1)
        assert ask(transport, fake.port) == 200
        assert fake.connections == 2
    assert names.asked == 2


def test_a_name_that_was_never_resolved_is_unreachable(
    names: NameServer, transport: Transport
) -> None:
    names.fails = True
    with pytest.raises(UpstreamError) as caught:
        ask(transport, 9)
    assert caught.value.kind is ErrorKind.UNREACHABLE
    assert "cannot be resolved" in caught.value.message
