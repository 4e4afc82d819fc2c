"""Bodies that drip, on real sockets; time is the test's."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from freellmapi.arrival import MOST_REST, Arriving, notice_the_vanished
from freellmapi.core.clock import SystemClock
from freellmapi.core.errors import GatewayError
from tests.fakes.clock import FrozenClock


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_body_that_drips_has_its_time_as_a_whole(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    clock = FrozenClock()
    connection = Arriving(pair[0], clock, 120)
    connection.begin_body()
    for _ in range(3):
        pair[1].sendall(b"x")
        assert connection.recv(10) == b"x"
        clock.advance(50)
    with pytest.raises(GatewayError, match="did not arrive in time"):
        connection.recv(10)
    assert connection.recv(10) == b"", "what comes late is no next request"


def test_a_body_of_which_nothing_comes_is_given_up(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    connection = Arriving(pair[0], SystemClock(), 0.05)
    connection.begin_body()
    with pytest.raises(GatewayError, match="did not arrive in time"):
        connection.recv(10)


def test_each_body_on_a_connection_has_its_own_time(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    clock = FrozenClock()
    connection = Arriving(pair[0], clock, 120)
    for _ in range(3):
        pair[1].sendall(b"head")
        assert connection.recv(10) == b"head"
        connection.begin_body()
        pair[1].sendall(b"body")
        assert connection.recv(10) == b"body"
        connection.end_body()
        clock.advance(100)
    assert pair[0].gettimeout() is None


def test_the_rest_of_a_body_is_thrown_away_in_pieces_and_not_for_ever(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, slept = FrozenClock(), list[float]()
    monkeypatch.setattr(clock, "sleep", slept.append)
    connection = Arriving(pair[0], clock, 120)
    connection.begin_body()
    connection.end_body()
    pieces, piece = 0, b""
    while pieces == 0 or piece:
        pair[1].sendall(b"x" * 16_384)
        piece = connection.recv(1_000_000)
        pieces += 1
        assert len(piece) in (0, 16_384)
    assert pieces == MOST_REST // 16_384 + 1
    assert slept == [0] * pieces, "others have their turn before each"
    assert connection.recv(8_192) == b"", "where a next request begins is not known"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_accepted_connections_inherit_the_patience(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        notice_the_vanished([listener], 60)
        with socket.create_connection((host, listener.getsockname()[1])):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_listeners_of_other_kinds_are_left_alone() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        notice_the_vanished([listener], 60)
