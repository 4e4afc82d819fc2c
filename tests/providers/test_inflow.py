"""Reading a provider's connection: each wait has its time, and only a wait is ended by it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket, ssl

from freellmapi.providers.inflow import Inflow
from tests.providers.test_tls import certificate

Said = Callable[[bytes], bytes]
"""What is sent so that these bytes are received."""


def plain() -> tuple[Any, Any, Said]:
    ours, theirs = socket.socketpair()
    return ours, theirs, lambda data: data


def encrypted(folder: Path) -> tuple[Any, Any, Said]:
    """Through TLS, whose other end the test speaks itself, so that it can part a record."""
    ours, theirs = socket.socketpair()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    proving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    proving.load_cert_chain(certificate(folder, "localhost", (-1, 1)))
    came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = proving.wrap_bio(came, going, server_side=True)
    client = trusting.wrap_socket(ours, do_handshake_on_connect=False)
    shaking = gevent.spawn(client.do_handshake)
    while True:
        try:
            server.do_handshake()
            break
        except ssl.SSLWantReadError:
            theirs.sendall(going.read())
            came.write(theirs.recv(65_536))
    theirs.sendall(going.read())
    shaking.get(timeout=5)

    def said(data: bytes) -> bytes:
        server.write(data)
        record: bytes = going.read()
        return record

    return client, theirs, said


@pytest.fixture(params=["plain", "TLS"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Any, Said]]:
    ours, theirs, said = plain() if request.param == "plain" else encrypted(tmp_path)
    yield ours, theirs, said
    ours.close()
    theirs.close()
    # gevent closes sockets in its loop, which nothing else turns in a test.
    gevent.sleep(0.001)


def timed_out(inflow: Inflow, seconds: float) -> float:
    """How long it waited in vain."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        inflow.receive(seconds)
    return time.monotonic() - began


def test_each_wait_has_its_whole_time(ends: tuple[Any, Any, Said]) -> None:
    ours, theirs, said = ends
    inflow = Inflow(ours)
    for number in range(6):
        gevent.spawn_later(0.1, theirs.sendall, said(b"%d" % number))
        assert inflow.receive(0.5) == b"%d" % number
    assert 0.49 <= timed_out(inflow, 0.5) < 1


def test_time_that_this_machine_took_is_not_the_providers(ends: tuple[Any, Any, Said]) -> None:
    inflow = Inflow(ends[0])
    gevent.sleep(0)
    busy_until = time.monotonic() + 0.15
    while time.monotonic() < busy_until:
        pass
    assert 0.19 <= timed_out(inflow, 0.2) < 0.7


@pytest.mark.parametrize("seconds", [0.05, 0.0, -5.0])
def test_another_time_takes_effect_at_once(ends: tuple[Any, Any, Said], seconds: float) -> None:
    ours, theirs, said = ends
    inflow = Inflow(ours)
    theirs.sendall(said(b"a"))
    assert inflow.receive(60) == b"a"
    assert timed_out(inflow, seconds) < 0.5
    theirs.sendall(said(b"b"))
    assert inflow.receive(60) == b"b", "a wait that was in vain harms no later one"


def test_no_time_runs_while_nobody_waits(ends: tuple[Any, Any, Said]) -> None:
    """As when a slow client takes what it was sent: longer than a provider may be silent."""
    ours, theirs, said = ends
    inflow = Inflow(ours)
    theirs.sendall(said(b"a"))
    assert inflow.receive(0.1) == b"a"
    gevent.sleep(0.3)
    theirs.sendall(said(b"b"))
    assert inflow.receive(0.1) == b"b"


def test_what_comes_together_is_all_read(ends: tuple[Any, Any, Said]) -> None:
    ours, theirs, said = ends
    inflow = Inflow(ours)
    long = bytes(range(256)) * 1000
    sending = gevent.spawn(theirs.sendall, said(b"first") + said(b"second") + said(long))
    received = b""
    while len(received) < 11 + len(long):
        received += inflow.receive(1)
    assert received == b"firstsecond" + long
    sending.get(timeout=1)
    with pytest.raises((BlockingIOError, ssl.SSLWantReadError)):
        inflow.at_once()
    theirs.sendall(said(b"third"))
    gevent.sleep(0.01)
    assert inflow.at_once() == b"third"


def test_a_record_in_two_parts_is_waited_for(tmp_path: Path) -> None:
    ours, theirs, said = encrypted(tmp_path)
    inflow = Inflow(ours)
    record = said(b"whole")
    theirs.sendall(record[:9])
    gevent.spawn_later(0.1, theirs.sendall, record[9:])
    assert inflow.receive(1) == b"whole"
    theirs.sendall(said(b"never")[:9])
    assert timed_out(inflow, 0.1) < 0.6
    ours.close()
    theirs.close()
    gevent.sleep(0.001)


def test_the_end_is_told(ends: tuple[Any, Any, Said]) -> None:
    ours, theirs, _ = ends
    gevent.spawn_later(0.05, theirs.close)
    assert Inflow(ours).receive(1) == b""


def test_who_closes_the_socket_ends_the_wait(ends: tuple[Any, Any, Said]) -> None:
    ours, _, _ = ends
    inflow = Inflow(ours)
    gevent.spawn_later(0.1, ours.close)
    began = time.monotonic()
    with pytest.raises(OSError, match="closed") as caught:
        inflow.receive(5)
    assert not isinstance(caught.value, TimeoutError)
    assert 0.05 < time.monotonic() - began < 1
    with pytest.raises(OSError, match="closed"):
        inflow.receive(5)


def test_nothing_is_left_running(ends: tuple[Any, Any, Said]) -> None:
    ours, theirs, said = ends
    loop = gevent.get_hub().loop
    a_timer = type(loop.timer(1))

    gevent.sleep(0.001)
    gc.collect()
    running, before = loop.activecnt, {id(each) for each in gc.get_objects()}

    def made() -> int:
        now = gc.get_objects()
        return sum(type(each) is a_timer and id(each) not in before for each in now)

    inflow = Inflow(ours)
    for seconds in (60, 50, 60):
        theirs.sendall(said(b"a"))
        inflow.receive(seconds)
        assert loop.activecnt == running, "between waits nothing is watched"
        assert made() == 1
    with suppress(TimeoutError):
        inflow.receive(0.01)
    inflow.close()
    inflow.close()
    # The loop is still in the call by which it has told that the time is up.
    gevent.sleep(0)
    assert (loop.activecnt, made()) == (running, 0)
