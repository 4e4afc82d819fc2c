from __future__ import annotations

import email.utils
import socket
import time
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser

from freellmapi.lean_worker import Joined, LeanResponse, LeanWorker, http_date, send


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(0.0)
    yield ours, theirs
    ours.close()
    theirs.close()


def arrived(theirs: socket.socket) -> bytes:
    try:
        return theirs.recv(1_000_000)
    except BlockingIOError:
        return b""


def test_the_head_goes_out_with_what_follows(pair: tuple[socket.socket, socket.socket]) -> None:
    joined = Joined(pair[0])
    joined.sendall(b"head ")
    assert arrived(pair[1]) == b""
    joined.sendall(b"body")
    assert arrived(pair[1]) == b"head body"
    joined.sendall(b" more")
    assert arrived(pair[1]) == b" more"


def test_a_head_alone_goes_out_at_the_end(pair: tuple[socket.socket, socket.socket]) -> None:
    joined = Joined(pair[0])
    joined.sendall(b"head")
    joined.flush()
    joined.flush()
    assert arrived(pair[1]) == b"head"


def test_the_end_of_a_stream_goes_with_that_of_its_body(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    joined = Joined(pair[0])
    joined.sendall(b"head ")
    joined.sendall(b"1\r\nx\r\n")
    assert arrived(pair[1]) == b"head 1\r\nx\r\n"
    joined.sendall(b"E\r\ndata: [DONE]\n\n\r\n")
    assert arrived(pair[1]) == b""
    joined.sendall(b"0\r\n\r\n")
    assert arrived(pair[1]) == b"E\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def test_nothing_is_sent_of_an_answer_that_was_given_up(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    joined = Joined(pair[0])
    joined.sendall(b"head")
    joined.close()
    joined.flush()
    assert arrived(pair[1]) == b""


def test_what_is_too_large_to_be_joined_keeps_its_order(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    joined = Joined(pair[0])
    joined.sendall(b"head")
    joined.sendall(b"x" * 70_000)
    assert arrived(pair[1]) == b"head" + b"x" * 70_000


def test_a_connection_is_otherwise_the_clients(pair: tuple[socket.socket, socket.socket]) -> None:
    assert Joined(pair[0]).fileno() == pair[0].fileno()


class Narrow:
    """A socket that takes little at a time."""

    def __init__(self) -> None:
        self.taken = b""

    def send(self, data: bytes) -> int:
        self.taken += data[:3]
        return min(3, len(data))

    def sendall(self, data: memoryview) -> None:
        self.taken += bytes(data)


def test_what_does_not_fit_at_once_is_sent_all_the_same() -> None:
    narrow = Narrow()
    send(narrow, b"0123456789")
    assert narrow.taken == b"0123456789"


def settled(**settings: object) -> LeanWorker:
    config = Config()
    for name, value in settings.items():
        config.set(name, value)
    worker = LeanWorker(1, 1, [], None, 30, config, Logger(config))
    worker.tmp.close()
    worker.settle()
    return worker


def test_values_of_an_access_log_are_made_only_if_there_is_one() -> None:
    configured = {"logconfig_dict": {"version": 1}}
    settled(**configured).log.access(None, None, None, None)
    with pytest.raises(AttributeError):
        settled(accesslog="-").log.access(None, None, None, None)


def test_settings_are_what_they_were() -> None:
    cfg = settled(keepalive=17, bind="127.0.0.1:1").cfg
    assert (cfg.keepalive, cfg.address) == (17, [("127.0.0.1", 1)])


def test_the_date_is_the_one_of_now() -> None:
    told = email.utils.parsedate_to_datetime(http_date()).timestamp()
    assert abs(told - time.time()) < 5
    assert http_date(1_790_000_000.9) == "Mon, 21 Sep 2026 14:13:20 GMT"
    assert http_date(1_790_000_001.0) == "Mon, 21 Sep 2026 14:13:21 GMT"


@pytest.mark.parametrize(
    ("trusted", "address", "scheme"),
    [
        pytest.param("", ("127.0.0.1", 1), "http", id="nobody"),
        pytest.param("127.0.0.1", ("127.0.0.1", 1), "https", id="this machine"),
        pytest.param("10.0.0.0/8", ("127.0.0.1", 1), "http", id="others"),
        pytest.param("", "", "https", id="who comes through a file"),
    ],
)
def test_who_may_say_that_a_request_came_over_tls(
    trusted: str, address: object, scheme: str
) -> None:
    config = Config()
    config.set("forwarded_allow_ips", trusted)
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n"
    assert next(RequestParser(config, [head], address)).scheme == scheme


def test_where_the_application_may_complain_is_made_once() -> None:
    config = Config()
    assert wsgi.base_environ(config)["wsgi.errors"] is wsgi.base_environ(config)["wsgi.errors"]


class Asked:
    """As much of a request as an answer looks at."""

    method = "POST"

    def __init__(self, version: tuple[int, int] = (1, 1)) -> None:
        self.version = version

    def should_close(self) -> bool:
        return False


class Written:
    """A connection that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)


PIECES = [b"data: a\n\n", b"", b"x" * 300, b"data: [DONE]\n\n"]


@pytest.mark.parametrize(
    ("version", "status", "headers", "pieces"),
    [
        pytest.param((1, 1), "200 OK", [], PIECES, id="in chunks"),
        pytest.param((1, 0), "200 OK", [], PIECES, id="until the end"),
        pytest.param((1, 1), "200 OK", [("Content-Length", "4")], [b"abc", b"def"], id="whole"),
        pytest.param((1, 1), "204 No Content", [], [b"abc"], id="without a body"),
    ],
)
def test_an_answer_is_written_as_gunicorn_would(
    version: tuple[int, int], status: str, headers: list[tuple[str, str]], pieces: list[bytes]
) -> None:
    found: list[tuple[bytes, int]] = []
    for made in (LeanResponse, LeanResponse.__base__):
        to = Written()
        answer = made(Asked(version), to, Config())
        write = answer.start_response(status, headers)
        for piece in pieces:
            write(piece)
        answer.close()
        found.append((b"".join(to.sent), answer.sent))
    assert found[0] == found[1]
    assert wsgi.Response is LeanResponse, "gunicorn makes this one"


def test_what_is_no_bytes_is_refused_in_the_middle_too() -> None:
    to = Written()
    answer = LeanResponse(Asked(), to, Config())
    answer.start_response("200 OK", [])(b"first")
    with pytest.raises(TypeError):
        answer.write("text")  # type: ignore[arg-type]
    assert b"text" not in b"".join(to.sent)
