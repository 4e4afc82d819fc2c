"""The hot path's HTTP client, on real sockets: what it reads, bounds, refuses and retries."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from freellmapi.core.cancel import Cancellation
from freellmapi.core.clock import SystemClock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.origins import Proxies
from freellmapi.providers.transport import MAX_HEAD_BYTES, Endpoint, Response, Transport
from tests.fakes.provider import (
    FakeProvider,
    drips,
    hangs,
    raw_body,
    refuses,
    resets,
    says,
    status,
)
from tests.fakes.raw_server import (
    RawServer,
    Script,
    closes_on_the_second_request,
    keeps_alive,
    ok,
    relays,
    respond,
)

K = ErrorKind
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport(SystemClock())
    yield transport
    transport.close()
    # gevent closes sockets in its loop, which nothing else turns in a test.
    gevent.sleep(0.001)


def post(
    transport: Transport,
    url: str,
    *,
    path: str = "/chat",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    cancel: Cancellation | None = None,
    connect_timeout: float = 2,
    first_byte_timeout: float = 2,
) -> Response:
    return transport.post(
        Endpoint(url, headers or {}),
        path,
        body,
        connect_timeout=connect_timeout,
        first_byte_timeout=first_byte_timeout,
        cancel=cancel or Cancellation(),
    )


def whole(response: Response) -> bytes:
    try:
        return response.read(2)
    finally:
        response.close()


def failure(transport: Transport, url: str, **fields: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        whole(post(transport, url, **fields))
    return caught.value


def test_the_request_is_what_was_meant(transport: Transport) -> None:
    with FakeProvider(says("hi")) as fake:
        response = post(
            transport,
            fake.base_url,
            path="/chat/completions?v=1",
            body=b'{"model": "m"}',
            headers={"Authorization": "Bearer s"},
        )
        assert response.status == 200
        assert response.headers["content-type"] == "application/json"
        assert b'"hi"' in whole(response)

        (seen,) = fake.requests
        assert (seen.method, seen.path) == ("POST", "/v1/chat/completions?v=1")
        assert seen.body == b'{"model": "m"}'
        assert seen.key == "s"
        assert seen.headers["host"] == f"127.0.0.1:{fake.port}"
        assert seen.headers["accept-encoding"] == "identity"
        assert "cookie" not in seen.headers


BODY = b"hello, world"
GZIPPED = gzip.compress(BODY)
BODIES = [
    pytest.param([ok(BODY)], id="content-length"),
    pytest.param([HEAD + b"Content-Length: 12\r\n\r\nhello", b", world"], id="in pieces"),
    pytest.param(
        [
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            b"7;x=1\r\n, world\r\n0\r\n\r\n",
        ],
        id="chunked",
    ),
    pytest.param([HEAD + b"\r\nhello", b", world"], id="ended by closing"),
    pytest.param([b"HTTP/1.0 200 OK\r\n\r\nhello, world"], id="HTTP/1.0"),
    pytest.param([ok(GZIPPED, "Content-Encoding: gzip")], id="gzip"),
    pytest.param(
        [
            ok(GZIPPED, "Content-Encoding: gzip")[: -len(GZIPPED)] + GZIPPED[:5],
            GZIPPED[5:10],
            GZIPPED[10:14],
            GZIPPED[14:],
        ],
        id="gzip in small pieces",
    ),
    pytest.param([ok(zlib.compress(BODY), "Content-Encoding: deflate")], id="deflate"),
    pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" + ok(BODY)], id="100 in the same packet"),
    pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", ok(BODY)], id="100 before"),
    pytest.param(
        [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 100 \r\n\r\n", ok(BODY)],
        id="two interim answers",
    ),
    pytest.param([bytes([b]) for b in ok(BODY)], id="byte by byte"),
]


@pytest.mark.parametrize("pieces", BODIES)
def test_a_body_is_read_however_it_is_framed(transport: Transport, pieces: list[bytes]) -> None:
    with RawServer(respond(*pieces, pause=0.003)) as server:
        assert whole(post(transport, server.url)) == BODY


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "ended by closing"])
def test_what_has_arrived_is_given_at_once(transport: Transport, chunked: bool) -> None:
    head = HEAD + (b"Transfer-Encoding: chunked\r\n" if chunked else b"") + b"\r\n"
    one, two = (b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n") if chunked else (b"a", b"b")
    with RawServer(respond(head, one, two, pause=0.3)) as server:
        response = post(transport, server.url)
        started = time.monotonic()
        assert response.next_bytes(2) == b"a"
        assert time.monotonic() - started < 0.5
        assert response.next_bytes(2) == b"b"
        assert response.next_bytes(2) == b""
        assert response.next_bytes(2) == b"", "the end stays the end"


CUT = [
    pytest.param([HEAD + b"Content-Length: 12\r\n\r\nhello"], K.SERVER_ERROR, id="short body"),
    pytest.param(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"], K.SERVER_ERROR, id="half a chunk"
    ),
    pytest.param([HEAD + b"Content-Le"], K.SERVER_ERROR, id="half a head"),
    pytest.param([b""], K.SERVER_ERROR, id="nothing"),
    pytest.param([b"SSH-2.0-OpenSSH_9.6\r\n"], K.BAD_ANSWER, id="not HTTP"),
    pytest.param([b"\x16\x03\x01\x02\x00\x01"], K.BAD_ANSWER, id="TLS"),
    pytest.param(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], K.BAD_ANSWER, id="bad chunk"
    ),
    pytest.param([ok(b"not gzip at all", "Content-Encoding: gzip")], K.BAD_ANSWER, id="bad gzip"),
    pytest.param(
        [HEAD, *(b"X-%d: %b\r\n" % (n, b"y" * 8000) for n in range(40))],
        K.BAD_ANSWER,
        id="an endless head",
    ),
]


@pytest.mark.parametrize(("pieces", "kind"), CUT)
def test_what_is_no_whole_answer_is_named(
    transport: Transport, pieces: list[bytes], kind: ErrorKind
) -> None:
    with RawServer(respond(*pieces, pause=0.001)) as server:
        assert failure(transport, server.url).kind is kind


def test_the_endless_head_is_longer_than_what_is_taken() -> None:
    assert 40 * 8000 > MAX_HEAD_BYTES


def test_nobody_listens(transport: Transport) -> None:
    error = failure(transport, refuses())
    assert (error.kind, error.message) == (K.UNREACHABLE, "connection refused")


def test_a_reset_before_the_head(transport: Transport) -> None:
    with FakeProvider(resets()) as fake:
        assert failure(transport, fake.base_url).kind is K.SERVER_ERROR
        assert len(fake.requests) == 1, "a new connection is not tried twice"


def test_a_silent_server_is_given_up_in_time(transport: Transport) -> None:
    with FakeProvider(hangs()) as fake:
        started = time.monotonic()
        error = failure(transport, fake.base_url, first_byte_timeout=0.3)
        gevent.sleep(0.001)
        assert error.kind is K.TIMEOUT
        assert 0.25 < time.monotonic() - started < 1
        assert fake.wait_client_gone(2)


@pytest.mark.parametrize(
    "pieces",
    [[HEAD, *[b"X: y\r\n"] * 100], [b"HTTP/1.1 100 Continue\r\n\r\n"] * 100],
    ids=["headers", "interim answers"],
)
def test_dripping_heads_are_bounded_by_the_deadline(
    transport: Transport, pieces: list[bytes]
) -> None:
    with RawServer(respond(*pieces, pause=0.05)) as server:
        started = time.monotonic()
        assert failure(transport, server.url, first_byte_timeout=0.4).kind is K.TIMEOUT
        assert time.monotonic() - started < 1.2


def test_a_dripping_body_is_bounded_by_the_deadline(transport: Transport) -> None:
    drip = respond(HEAD + b"Content-Length: 999\r\n\r\n", *[b"x"] * 100, pause=0.05)
    with RawServer(drip) as server:
        response = post(transport, server.url)
        started = time.monotonic()
        with pytest.raises(UpstreamError) as caught:
            response.read(0.4)
        response.close()
        assert caught.value.kind is K.TIMEOUT
        assert time.monotonic() - started < 1.2


@pytest.mark.parametrize("timeout", [0.1, 0, -5])
def test_silence_in_the_body_is_bounded(transport: Transport, timeout: float) -> None:
    with RawServer(respond(HEAD + b"\r\n", then_hang=True)) as server:
        response = post(transport, server.url)
        with pytest.raises(UpstreamError) as caught:
            response.next_bytes(timeout)
        response.close()
        assert caught.value.kind is K.TIMEOUT


def test_connections_are_kept(transport: Transport) -> None:
    with FakeProvider() as fake:
        for _ in range(5):
            whole(post(transport, fake.base_url))
        assert (fake.connections, len(fake.requests)) == (1, 5)


def test_a_stream_closed_behind_its_end_keeps_its_connection(transport: Transport) -> None:
    done = b"data: [DONE]\n\n"
    chunk = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(done), done)

    def script(sock: socket.socket, server: RawServer) -> None:
        for end in (b"0\r\n\r\n", b""):
            server.read_request(sock)
            sock.sendall(chunk)
            server.let_go.wait(0.05)
            sock.sendall(end)

    with RawServer(script) as server:
        response = post(transport, server.url)
        assert response.next_bytes(2) == done
        gevent.sleep(0.2)
        response.close()
        response = post(transport, server.url)
        assert response.next_bytes(2) == done
        response.close()
        assert (server.connections, len(server.seen)) == (1, 2)


def test_a_body_left_unread_costs_the_connection(transport: Transport) -> None:
    with FakeProvider(drips("a", "b", interval=20)) as fake:
        response = post(transport, fake.base_url, body=b'{"stream": true}')
        response.next_bytes(2)
        response.close()
        response.close()
        gevent.sleep(0.001)
        assert fake.wait_client_gone(2)
        whole(post(transport, fake.base_url))
        assert fake.connections == 2


def test_connection_close_is_heeded(transport: Transport) -> None:
    answer = ok(b"a", "Connection: close")
    with RawServer(keeps_alive(answer, answer), keeps_alive(answer)) as server:
        for _ in range(2):
            assert whole(post(transport, server.url)) == b"a"
        assert server.connections == 2


def test_a_kept_connection_that_died_idle_is_replaced(transport: Transport) -> None:
    with RawServer(keeps_alive(ok(b"a")), keeps_alive(ok(b"b"))) as server:
        assert whole(post(transport, server.url)) == b"a"
        gevent.sleep(0.1)
        assert whole(post(transport, server.url)) == b"b"


def test_a_kept_connection_closed_under_our_hands_is_tried_once_more(transport: Transport) -> None:
    with RawServer(closes_on_the_second_request(ok(b"a")), keeps_alive(ok(b"b"))) as server:
        assert whole(post(transport, server.url)) == b"a"
        assert whole(post(transport, server.url, body=b'{"n":2}')) == b"b"
        assert [r.rpartition(b"\r\n")[2] for r in server.seen] == [b"{}", b'{"n":2}', b'{"n":2}']


def test_it_is_tried_once_more_only_once(transport: Transport) -> None:
    first, second = closes_on_the_second_request(ok(b"a")), respond(b"")
    with RawServer(first, second, keeps_alive(ok(b"c"))) as server:
        assert whole(post(transport, server.url)) == b"a"
        assert failure(transport, server.url).kind is K.SERVER_ERROR
        assert server.connections == 2


def test_an_answer_that_had_begun_is_not_asked_for_twice(transport: Transport) -> None:
    def begins_then_closes(sock: socket.socket, server: RawServer) -> None:
        server.read_request(sock)
        sock.sendall(ok(b"a"))
        server.read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nX-Ha")

    with RawServer(begins_then_closes, keeps_alive(ok(b"c"))) as server:
        assert whole(post(transport, server.url)) == b"a"
        assert failure(transport, server.url).kind is K.SERVER_ERROR
        assert server.connections == 1


@pytest.mark.parametrize(
    "secret", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "sch\u0142\u00fcssel"], ids=repr
)
def test_a_key_cannot_say_more_than_itself(transport: Transport, secret: str) -> None:
    with FakeProvider() as fake:
        error = failure(transport, fake.base_url, headers={"Authorization": f"Bearer {secret}"})
        assert error.kind is K.KEY_REJECTED
        assert "Evil" not in error.message
        assert fake.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254",
        "http://2852039166",
        "http://0xA9FEA9FE",
        "http://0251.0376.0251.0376",
        "http://[::ffff:169.254.169.254]",
        "http://[fe80::1]",
        "http://100.100.100.200",
    ],
)
def test_link_local_addresses_are_refused_however_written(transport: Transport, url: str) -> None:
    error = failure(transport, url)
    assert error.kind is K.UNREACHABLE
    assert "refused" in error.message or "resolved" in error.message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://api.test",
        "http://",
        "http://api.test:99999",
        "http://[::1",
        "http://" + "a" * 300,
        "http://no-such-host.invalid",
        "/relative",
    ],
)
def test_a_base_url_that_leads_nowhere_is_unreachable(transport: Transport, url: str) -> None:
    assert failure(transport, url).kind is K.UNREACHABLE


def test_a_name_that_comes_to_mean_a_refused_address_is_not_called(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: what is connected to is what was looked at."""
    asked: list[str] = []

    def resolved(host: str, port: int, *rest: object, **more: object) -> list[Any]:
        asked.append(host)
        address = ("169.254.169.254", port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]

    monkeypatch.setattr("gevent.socket.getaddrinfo", resolved)
    error = failure(transport, "http://rebound.test")
    assert error.kind is K.UNREACHABLE
    assert "refused" in error.message
    assert asked == ["rebound.test"]


def test_redirects_are_not_followed(transport: Transport) -> None:
    with FakeProvider() as other, FakeProvider(status(307, Location=other.base_url)) as fake:
        response = post(transport, fake.base_url, headers={"Authorization": "Bearer s"})
        assert response.status == 307
        whole(response)
        assert other.requests == []


def test_cookies_are_not_kept(transport: Transport) -> None:
    with FakeProvider(raw_body(b"{}", Set_Cookie="a=b"), says("x")) as fake:
        for _ in range(2):
            whole(post(transport, fake.base_url))
        assert "cookie" not in fake.requests[1].headers


def test_a_body_larger_than_any_answer_is_refused(transport: Transport) -> None:
    bomb = gzip.compress(bytes(65 * 1024 * 1024), 9)
    with RawServer(respond(ok(bomb, "Content-Encoding: gzip"))) as server:
        assert failure(transport, server.url).kind is K.BAD_ANSWER


def through(proxy: RawServer, no_proxy: str = "", login: str = "") -> Transport:
    url = f"http://{login}127.0.0.1:{proxy.port}"
    return Transport(SystemClock(), Proxies(url, url, no_proxy))


def test_plain_http_is_asked_of_the_proxy() -> None:
    with RawServer(relays()) as proxy:
        transport = through(proxy, login="me:p%40ss@")
        found = whole(post(transport, "http://api.example.test:8080/v1", path="/chat?x=1"))
        assert found == b"via proxy: http://api.example.test:8080/v1/chat?x=1"
        head = proxy.seen[0].decode()
        assert "Host: api.example.test:8080\r\n" in head
        assert "Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in head
        transport.close()


def test_tls_goes_through_a_tunnel() -> None:
    with RawServer(relays()) as proxy:
        transport = through(proxy)
        error = failure(transport, "https://api.example.test", connect_timeout=0.3)
        assert error.kind is K.TIMEOUT, "the tunnel is up and nobody speaks TLS behind it"
        assert proxy.seen[0].startswith(b"CONNECT api.example.test:443 HTTP/1.1\r\n")
        transport.close()


class Changing(Proxies):
    """Proxies that a test puts in the place of others."""

    now = Proxies()

    @property
    def in_force(self) -> Proxies:
        return self.now

    def for_origin(self, scheme: str, host: str) -> str | None:
        return self.now.for_origin(scheme, host)


def test_another_proxy_is_used_for_the_next_call_and_no_stream_is_hurt() -> None:
    with RawServer(keeps_alive(ok(), ok(b"first whole"))) as one, RawServer(relays()) as two:
        proxies = Changing()
        Changing.now = Proxies(f"http://127.0.0.1:{one.port}")
        transport = Transport(SystemClock(), proxies)
        whole(post(transport, "http://api.example.test"))
        running = post(transport, "http://api.example.test")
        assert one.connections == 1, "the connection is used again while nothing changes"
        Changing.now = Proxies(f"http://127.0.0.1:{two.port}")
        found = whole(post(transport, "http://api.example.test"))
        assert found == b"via proxy: http://api.example.test/chat"
        assert whole(running) == b"first whole"
        assert len(one.seen) == 2
        transport.close()


def test_no_connection_by_a_proxy_of_before_is_kept() -> None:
    with RawServer(keeps_alive(ok(), ok())) as one:
        proxies = Changing()
        Changing.now = Proxies(f"http://127.0.0.1:{one.port}")
        transport = Transport(SystemClock(), proxies)
        running = post(transport, "http://api.example.test")
        Changing.now = Proxies("http://127.0.0.1:1")
        assert failure(transport, "http://api.example.test").kind is K.UNREACHABLE
        whole(running)
        gevent.sleep(0.01)
        one._threads[0].join(2)
        assert not one._threads[0].is_alive(), "the server has seen the connection end"
        transport.close()


@pytest.mark.parametrize(
    "script",
    [respond(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), respond(b"")],
    ids=["refused", "closed"],
)
def test_a_broken_proxy_never_falls_back_to_a_direct_call(script: Script) -> None:
    with RawServer(script) as proxy:
        transport = through(proxy)
        assert failure(transport, "https://api.example.test").kind is K.UNREACHABLE
        transport.close()
        gevent.sleep(0.001)


def test_loopback_never_goes_through_a_proxy() -> None:
    with RawServer() as proxy, FakeProvider() as fake:
        transport = through(proxy)
        whole(post(transport, fake.base_url))
        assert (len(fake.requests), proxy.connections) == (1, 0)
        transport.close()


@pytest.fixture
def busy_url() -> Iterator[str]:
    """A listener whose queue is full: it answers no further connection."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


def test_a_connection_not_made_in_time(transport: Transport, busy_url: str) -> None:
    started = time.monotonic()
    assert failure(transport, busy_url, connect_timeout=0.3).kind is K.TIMEOUT
    assert time.monotonic() - started < 1


def test_the_client_leaves_while_we_connect(transport: Transport, busy_url: str) -> None:
    cancel = Cancellation()
    gevent.spawn_later(0.2, cancel.cancel)
    started = time.monotonic()
    error = failure(transport, busy_url, cancel=cancel, connect_timeout=5)
    assert error.kind is K.CLIENT_GONE
    assert 0.1 < time.monotonic() - started < 1


def test_the_client_leaves_while_we_wait_for_the_head(transport: Transport) -> None:
    with FakeProvider(hangs()) as fake:
        cancel = Cancellation()

        def leave() -> None:
            while not fake.requests:
                gevent.sleep(0.01)
            cancel.cancel()

        gevent.spawn(leave)
        error = failure(transport, fake.base_url, cancel=cancel, first_byte_timeout=20)
        gevent.sleep(0.001)
        assert error.kind is K.CLIENT_GONE
        assert fake.wait_client_gone(2)


def test_the_client_leaves_while_we_read_the_body(transport: Transport) -> None:
    with FakeProvider(drips("a", "b", interval=20)) as fake:
        cancel = Cancellation()
        response = post(transport, fake.base_url, body=b'{"stream":true}', cancel=cancel)
        response.next_bytes(2)
        gevent.spawn_later(0.1, cancel.cancel)
        with pytest.raises(UpstreamError) as caught:
            response.read(20)
        response.close()
        gevent.sleep(0.001)
        assert caught.value.kind is K.CLIENT_GONE
        assert fake.wait_client_gone(2)


def test_a_client_that_has_left_sends_nothing(transport: Transport) -> None:
    with FakeProvider() as fake:
        cancel = Cancellation()
        cancel.cancel()
        assert failure(transport, fake.base_url, cancel=cancel).kind is K.CLIENT_GONE
        assert fake.requests == []


def test_a_finished_call_is_no_longer_interrupted(transport: Transport) -> None:
    with FakeProvider() as fake:
        cancel = Cancellation()
        whole(post(transport, fake.base_url, cancel=cancel))
        cancel.cancel()
        gevent.sleep(0.001)
        whole(post(transport, fake.base_url))
        assert fake.connections == 1
