"""Which addresses are refused, and what goes through a proxy."""

from __future__ import annotations

import socket

import pytest

from freellmapi.core.clock import SystemClock
from freellmapi.providers.guard import is_refused_address
from freellmapi.providers.origins import MOST_IDLE, Origin, Proxies, is_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"],
)
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "example", "", "0.0.0.0"])
def test_what_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "::ffff:100.100.100.200",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "100.100.100.200",
        "fd00:ec2::254",
    ],
)
def test_link_local_and_metadata_addresses_are_refused(address: str) -> None:
    assert is_refused_address(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "192.168.1.5", "8.8.8.8", "::1", "2606:4700::1", "a name"]
)
def test_other_addresses_are_not(address: str) -> None:
    assert not is_refused_address(address)


PROXY, TLS_PROXY = "http://proxy.test:3128", "http://proxy.test:3129"


@pytest.mark.parametrize(
    ("scheme", "host", "no_proxy", "proxy"),
    [
        ("http", "api.test", "", PROXY),
        ("https", "api.test", "", TLS_PROXY),
        ("https", "localhost", "", None),
        ("http", "127.0.0.1", "", None),
        ("http", "::1", "", None),
        ("https", "api.test", "api.test", None),
        ("https", "api.test", "other.test,.test", None),
        ("https", "api.test", "*", None),
        ("https", "notapi.test", "api.test", TLS_PROXY),
    ],
)
def test_who_goes_through_which_proxy(
    scheme: str, host: str, no_proxy: str, proxy: str | None
) -> None:
    assert Proxies(PROXY, TLS_PROXY, no_proxy).for_origin(scheme, host) == proxy


def test_without_proxies_everything_goes_directly() -> None:
    assert Proxies().for_origin("https", "api.test") is None


@pytest.mark.parametrize(
    ("scheme", "host", "port", "name"),
    [
        ("http", "api.test", 80, "api.test"),
        ("http", "api.test", 8080, "api.test:8080"),
        ("https", "api.test", 443, "api.test"),
        ("https", "api.test", 80, "api.test:80"),
        ("http", "::1", 8080, "[::1]:8080"),
    ],
)
def test_an_origin_is_named_as_the_host_header_has_it(
    scheme: str, host: str, port: int, name: str
) -> None:
    assert Origin.of(scheme, host, port, None, SystemClock()).name == name


def test_an_address_written_out_is_refused_behind_a_proxy_too() -> None:
    with pytest.raises(OSError, match="refused"):
        Origin.of("http", "169.254.169.254", 80, PROXY, SystemClock())


def test_a_proxys_login_is_not_in_the_repr() -> None:
    proxy = "http://me:hush%21@proxy.test:3128"
    origin = Origin.of("http", "api.test", 80, proxy, SystemClock())
    assert origin.proxy_authorization == "Basic bWU6aHVzaCE="
    assert "bWU6" not in repr(origin)


def test_of_many_connections_only_some_are_kept() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=2 * MOST_IDLE) as server:
        port = server.getsockname()[1]
        pool = Origin.of("http", "127.0.0.1", port, None, SystemClock()).pool
        opened = [pool.connection(5.0)[0] for _ in range(MOST_IDLE + 3)]
        for sock in opened:
            pool.return_socket(sock)
        assert sum(sock.fileno() >= 0 for sock in opened) == MOST_IDLE
        kept, reused = pool.connection(5.0)
        assert reused
        kept.close()
        pool.close()
