"""Who is believed to be the client behind a proxy, and who is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import create_environ

from freellmapi.app import build_services
from freellmapi.core.errors import SettingsError
from freellmapi.forwarded import Forwarded
from freellmapi.settings import Settings
from tests.fakes.application import application

NGINX, CDN, CLIENT = "127.0.0.1", "198.51.100.7", "203.0.113.9"
PROXIES = ("127.0.0.0/8", "::1/128", "198.51.100.0/24")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the application is told."""

    address: str
    scheme: str = "http"
    host: str = "inside:3001"


def seen(peer: str, proxies: tuple[str, ...] = PROXIES, /, **headers: str) -> Seen:
    found = []

    def application(environ: object, start_response: object) -> list[bytes]:
        assert isinstance(environ, dict)
        scheme, host = environ["wsgi.url_scheme"], environ["HTTP_HOST"]
        found.append(Seen(environ["REMOTE_ADDR"], scheme, host))
        return []

    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    environ = create_environ(headers=sent, base_url="http://inside:3001")
    environ["REMOTE_ADDR"] = peer
    trusted = tuple(ip_network(text) for text in proxies)
    Forwarded(application, trusted)(environ, lambda *_: lambda _: None)
    return found[0]


WHOLE = {"X_Forwarded_For": CLIENT, "X_Forwarded_Proto": "https", "X_Forwarded_Host": "ai.example"}


def test_a_trusted_proxy_is_believed() -> None:
    assert seen(NGINX, **WHOLE) == Seen(CLIENT, "https", "ai.example")
    assert seen("::ffff:127.0.0.1", **WHOLE).address == CLIENT
    assert seen("::1", **WHOLE).address == CLIENT


@pytest.mark.parametrize("peer", [CLIENT, "127.0.0.1", "", "unix:", "::ffff:203.0.113.9"])
def test_nobody_else_is(peer: str) -> None:
    assert seen(peer, ("10.0.0.1/32",), **WHOLE) == Seen(peer)


@pytest.mark.parametrize(
    ("said", "address"),
    [
        pytest.param(CLIENT, CLIENT, id="the client"),
        pytest.param(f"127.0.0.1, {CLIENT}", CLIENT, id="who claims to be this machine"),
        pytest.param(f"198.51.100.9, {CLIENT}", CLIENT, id="who claims to be a proxy"),
        pytest.param(f"{CLIENT}, {CDN}", CLIENT, id="two proxies of ours"),
        pytest.param(f"10.9.9.9, {CLIENT}, {CDN}", CLIENT, id="a claim through two proxies"),
        pytest.param(f"{CDN}, {CDN}", CDN, id="a proxy itself"),
        pytest.param(f"{CLIENT}:4711", CLIENT, id="with a port"),
        pytest.param("[2001:db8::9]:4711", "2001:db8::9", id="IPv6 with a port"),
        pytest.param("2001:db8::9", "2001:db8::9", id="IPv6"),
        pytest.param("::ffff:203.0.113.9", CLIENT, id="IPv4 as IPv6"),
        pytest.param(f"{CLIENT}, unknown", NGINX, id="hidden by the nearest proxy"),
        pytest.param("", NGINX, id="empty"),
        pytest.param(" , ,", NGINX, id="commas"),
        pytest.param("127.0.0.1\u00b2", NGINX, id="no address"),
    ],
)
def test_the_client_is_who_our_outermost_proxy_saw(said: str, address: str) -> None:
    assert seen(NGINX, X_Forwarded_For=said).address == address


@pytest.mark.parametrize(
    ("chain", "said", "scheme"),
    [
        pytest.param(CLIENT, "https", "https", id="one"),
        pytest.param(CLIENT, "https, http", "http", id="the nearest proxy's, not the client's"),
        pytest.param(f"{CLIENT}, {CDN}", "https, http", "https", id="TLS ends at the outer proxy"),
        pytest.param(f"{CLIENT}, {CDN}", "http", "http", id="the inner one writes it anew"),
        pytest.param(CLIENT, "HTTPS", "https", id="in capitals"),
        pytest.param(CLIENT, "ftp", "http", id="no scheme of ours"),
    ],
)
def test_the_scheme_is_the_one_at_our_outermost_proxy(chain: str, said: str, scheme: str) -> None:
    assert seen(NGINX, X_Forwarded_For=chain, X_Forwarded_Proto=said).scheme == scheme


@pytest.mark.parametrize("host", ["a b", "evil.example/x", "a\\b", "x" * 300, "a:b", "a@b"])
def test_what_is_no_host_is_not_taken_for_one(host: str) -> None:
    assert seen(NGINX, X_Forwarded_Host=host).host == "inside:3001"


def test_the_setting_is_read() -> None:
    assert Settings.from_env({}).trusted_proxies == ()
    found = Settings.from_env({"TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/24 ::1"}).trusted_proxies
    assert found == tuple(ip_network(text) for text in ("127.0.0.1", "10.0.0.0/24", "::1"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("nginx", "TRUSTED_PROXIES is 'nginx'", id="a name"),
        pytest.param("10.0.0.1/24", "it must be addresses or networks", id="bits of the host"),
        pytest.param("*", "TRUSTED_PROXIES is", id="a star"),
        pytest.param("0.0.0.0/0", "in which clients are too", id="everybody"),
        pytest.param("10.0.0.1, ::/0", "in which clients are too", id="everybody by IPv6"),
    ],
)
def test_a_setting_that_trusts_too_much_or_nothing_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Settings.from_env({"TRUSTED_PROXIES": text})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environ = {"ENCRYPTION_KEY": "ab" * 32, "FREELLMAPI_DATA_DIR": str(tmp_path)}
    return Settings.from_env(environ | {"FREELLMAPI_LOG_LEVEL": "WARNING"})


@pytest.fixture
def clients(settings: Settings) -> Iterator[tuple[FlaskClient, FlaskClient]]:
    """Of a server that trusts nobody, and of one that trusts this machine's proxy."""
    services = build_services(settings)
    trusting = replace(settings, trusted_proxies=(ip_network("127.0.0.1"),))
    yield (
        application(settings, services).test_client(),
        application(trusting, services).test_client(),
    )
    services.close()


def test_nobody_behind_a_proxy_of_this_machine_counts_as_near(
    clients: tuple[FlaskClient, FlaskClient],
) -> None:
    def asks_for_code(client: FlaskClient, **headers: str) -> bool:
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return 'name="code"' in client.get("/setup", headers=sent).get_data(as_text=True)

    for client in clients:
        assert not asks_for_code(client), "without a proxy, this is the server's own machine"
        assert asks_for_code(client, X_Forwarded_For=CLIENT)
        # What a client may claim through a proxy that passes everything on.
        assert asks_for_code(client, X_Forwarded_For="127.0.0.1")
        assert asks_for_code(client, X_Forwarded_For="127.0.0.1, 127.0.0.1")
        assert asks_for_code(client, X_Forwarded_Host="localhost")
        assert asks_for_code(client, X_Real_IP="127.0.0.1")
        assert asks_for_code(client, Forwarded="for=127.0.0.1")
        assert asks_for_code(client, Via="1.1 nginx")


def test_nginx_as_it_comes_does_not_make_everybody_near(
    clients: tuple[FlaskClient, FlaskClient],
) -> None:
    """Its ``proxy_pass`` alone sends no header of its own, our own host, and HTTP/1.0."""
    for client in clients:
        page = client.get("/setup", environ_overrides={"SERVER_PROTOCOL": "HTTP/1.0"})
        assert 'name="code"' in page.get_data(as_text=True)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_cookie_is_secure_where_a_trusted_proxy_speaks_tls(
    clients: tuple[FlaskClient, FlaskClient], scheme: str
) -> None:
    headers = {"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": scheme}
    distrusting, trusting = (
        client.get("/setup", headers=headers).headers["Set-Cookie"] for client in clients
    )
    assert "Secure" not in distrusting
    assert ("Secure" in trusting) is (scheme == "https")
