"""Through a real nginx with the shipped configuration: streams, departures, errors, addresses."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.deploy.front import SHIPPED, Front
from tests.e2e.server import HELLO, PATIENCE, Server, config, free_port
from tests.fakes.provider import FakeProvider, drips, says, stalls

pytestmark = pytest.mark.e2e

GONE = 5.0
"""Seconds; one or two are promised, the rest is for a busy machine."""
READ_TIMEOUT, PING = 3.0, 1.0
"""Seconds. As shipped it is 3,600 and 10, so that 359 of 360 pings may be late or lost; here
it is one in two. What a stream survives does not depend on how long it lasts."""
QUIET = 3 * READ_TIMEOUT
PASSWORD = "correct horse"
TOO_LARGE = 25 * 2**20 + 1


@dataclass(frozen=True, slots=True)
class Site:
    """All of it: client, nginx, FreeLLMAPI, provider."""

    fake: FakeProvider
    server: Server
    front: Front

    def post(self, body: Any, path: str = "/v1/chat/completions", **more: Any) -> requests.Response:
        return requests.post(
            self.front.url + path,
            json=body,
            headers=self.server.headers(),
            verify=str(self.front.certificate),
            timeout=PATIENCE,
            **more,
        )

    def streaming(self) -> requests.Response:
        return self.post({"model": "auto", "messages": HELLO, "stream": True}, stream=True)

    def get(self, path: str, **more: Any) -> requests.Response:
        verify = str(self.front.certificate)
        return requests.get(self.front.url + path, verify=verify, timeout=PATIENCE, **more)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with FakeProvider() as fake:
        text = config({"alpha": fake.base_url}, ping_interval=PING, max_wait=0)
        folder = tmp_path_factory.mktemp("nginx")
        changes = {"proxy_read_timeout 3600s;": f"proxy_read_timeout {READ_TIMEOUT:.0f}s;"}
        with Server(folder, text, TRUSTED_PROXIES="127.0.0.1") as server:
            # A second upstream that is down: nobody must notice.
            ports = (server.port, free_port())
            with Front(folder / "front", ports, changes) as front:
                yield Site(fake, server, front)


@pytest.fixture
def site(running: Site) -> Site:
    running.fake.script.clear()
    running.fake.requests.clear()
    running.fake.closed.clear()
    running.fake.default = says("hi")
    return running


def test_the_shipped_file_is_good(tmp_path: Path) -> None:
    done = Front(tmp_path / "front", (3001,)).tested()
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_the_two_lists_of_upstreams_differ_in_their_servers_alone() -> None:
    def others(name: str) -> list[str]:
        lines = (SHIPPED / name).read_text().splitlines()
        return [line for line in lines if "server " not in line and not line.startswith("#")]

    assert others("upstream.conf") == others("upstream.compose.conf")


def test_tokens_arrive_one_by_one(site: Site) -> None:
    gates = [threading.Event() for _ in range(4)]
    site.fake.script = [drips("one ", "two ", "three ", "four ", gate=gates)]
    gates[0].set()
    seen = b""
    with closing(site.streaming()) as response:
        pieces = response.iter_content(None)
        for n, word in enumerate((b"one ", b"two ", b"three ", b"four ")):
            gates[n].set()
            while word not in seen:
                seen += next(pieces)
            assert not any(later in seen for later in (b"two ", b"three ", b"four ")[n:])
        assert b"[DONE]" in seen + b"".join(pieces), "the last word may bring the end with it"


def test_a_quiet_stream_lives_by_pings(site: Site) -> None:
    site.fake.script = [stalls("before ", "after", seconds=QUIET)]
    with closing(site.streaming()) as response:
        text = response.content.decode()
    assert text.count(": ping") >= QUIET / READ_TIMEOUT
    assert "after" in text and "[DONE]" in text and '"error"' not in text


def test_a_client_that_leaves_is_gone_for_the_provider(site: Site) -> None:
    gate = threading.Event()
    site.fake.script = [drips("first", "second", gate=gate)]
    try:
        response = site.streaming()
        assert b"first" in next(response.iter_content(None))
        response.close()
        assert site.fake.wait_client_gone(GONE)
    finally:
        gate.set()


def test_a_client_that_leaves_before_the_first_token_too(site: Site) -> None:
    site.fake.script = [stalls("never", after=0)]
    context = ssl.create_default_context(cafile=str(site.front.certificate))
    connection = http.client.HTTPSConnection("127.0.0.1", site.front.port, context=context)
    body = json.dumps({"model": "auto", "messages": HELLO})
    headers = site.server.headers() | {"Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    assert site.fake.wait_requests(1, PATIENCE)
    connection.close()
    assert site.fake.wait_client_gone(GONE)


def test_a_body_too_large_is_refused_as_by_the_server_itself(site: Site) -> None:
    """By its length alone: nothing of it needs to be sent."""
    context = ssl.create_default_context(cafile=str(site.front.certificate))
    answers = []
    for connection in (
        http.client.HTTPSConnection("127.0.0.1", site.front.port, context=context),
        http.client.HTTPConnection("127.0.0.1", site.server.port),
    ):
        with closing(connection):
            connection.putrequest("POST", "/v1/chat/completions")
            for name, value in site.server.headers().items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(TOO_LARGE))
            connection.putheader("Content-Type", "application/json")
            connection.endheaders()
            answer = connection.getresponse()
            answers.append((answer.status, answer.getheader("Content-Type"), answer.read()))
    (status, kind, body), own = answers
    assert (status, kind) == (413, "application/json") == own[:2]
    assert json.loads(body) == json.loads(own[2])


def test_a_large_body_passes(site: Site) -> None:
    """8 MB, which nginx keeps in a file until it is whole."""
    content = [{"role": "user", "content": "word " * 1_600_000}]
    answer = site.post({"model": "auto", "messages": content})
    # Longer than the model's context: FreeLLMAPI has read all of it to say so.
    assert answer.json()["error"]["code"] == "no_capable_model", answer.text
    assert "too small for about 2,000," in answer.text


def test_without_a_server_the_error_has_the_same_shape(tmp_path: Path) -> None:
    with Front(tmp_path / "front", (free_port(),)) as front:
        verify = str(front.certificate)
        answer = requests.get(f"{front.url}/v1/models", verify=verify, timeout=PATIENCE)
    assert answer.status_code == 502
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Retry-After"] == "5"
    assert list(answer.json()["error"]) == ["message", "type", "param", "code"]


def test_plain_http_leads_to_https(site: Site) -> None:
    url = f"http://127.0.0.1:{site.front.plain_port}/keys?x=1"
    answer = requests.get(url, allow_redirects=False, timeout=PATIENCE)
    assert (answer.status_code, answer.headers["Location"]) == (308, "https://127.0.0.1/keys?x=1")


def test_cookies_are_secure_through_nginx_alone(site: Site) -> None:
    through = site.get("/setup").headers["Set-Cookie"]
    direct = requests.get(f"{site.server.url}/setup", timeout=PATIENCE).headers["Set-Cookie"]
    assert "Secure" in through and "Secure" not in direct
    # Nobody gets it by saying so, not even on the server's own machine.
    claimed = requests.get(
        f"{site.server.url}/setup",
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.2, 127.0.0.3"},
        timeout=PATIENCE,
    )
    assert "Secure" in claimed.headers["Set-Cookie"], "127.0.0.1 is trusted, and it is we"
    assert 'name="code"' in claimed.text, "but it is not taken for a browser on this machine"


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1;host=localhost"},
        {"X-Forwarded-Host": "localhost", "Host": "localhost"},
    ],
    ids=str,
)
def test_who_comes_through_nginx_needs_the_setup_code(site: Site, claim: dict[str, str]) -> None:
    assert 'name="code"' in site.get("/setup", headers=claim).text
    assert 'name="code"' not in requests.get(f"{site.server.url}/setup", timeout=PATIENCE).text


@pytest.fixture
def site_of_ada(tmp_path: Path) -> Iterator[Site]:
    """A site of its own, where somebody can log in."""
    with (
        FakeProvider() as fake,
        Server(tmp_path, TRUSTED_PROXIES="127.0.0.1") as server,
        Front(tmp_path / "front", (server.port,)) as front,
    ):
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield Site(fake, server, front)


def test_wrong_passwords_are_counted_by_the_client_s_own_address(site_of_ada: Site) -> None:
    # Each claims to be somebody else. Twelve in a row would take two minutes of waits.
    guesses = [guess(site_of_ada, "127.0.0.9", "wrong", f"127.0.1.{n}") for n in range(12)]
    assert guesses[:4] == [422] * 4 and 429 in guesses, guesses
    assert guess(site_of_ada, "127.0.0.10", PASSWORD) == 302, "somebody else is not kept waiting"


def guess(site: Site, address: str, password: str, claim: str = "127.0.0.1") -> int:
    """The status of a log-in tried from one of this machine's addresses, through nginx."""
    context = ssl.create_default_context(cafile=str(site.front.certificate))
    place = "127.0.0.1", site.front.port
    headers = {"Accept": "text/html", "X-Forwarded-For": claim}
    connection = http.client.HTTPSConnection(*place, context=context, source_address=(address, 0))
    with closing(connection):
        connection.request("GET", "/login", headers=headers)
        page = connection.getresponse()
        cookie = str(page.getheader("Set-Cookie")).partition(";")[0]
        token = page.read().decode().partition('name="csrf_token"')[2].split('"')[1]
        form = {"csrf_token": token, "name": "ada", "password": password}
        headers |= {"Cookie": cookie, "Referer": f"{site.front.url}/login"}
        headers |= {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/login", urllib.parse.urlencode(form), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
