"""Names, texts, paths and headers that try to be more than that, over a real connection."""

from __future__ import annotations

import csv
import io
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.browser import PASSWORD
from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider, raw_body, says, status

pytestmark = pytest.mark.e2e

FORGED = "2026-11-22T19:42:01.123Z ERROR freellmapi.router forged"
ESCAPES = f"\x1b[2J\x1b]0;owned\x07\r\n{FORGED}\n\x9b31m\u2028\u202e\x00"
RECORD = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z [A-Z]+ [\w.]+ |  \| ")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fake: FakeProvider) -> Iterator[Server]:
    text = config({"lab": fake.base_url}, max_wait=0, probe_interval=0)
    folder = tmp_path_factory.mktemp("injection")
    with Server(folder, text, FREELLMAPI_LOG_LEVEL="DEBUG") as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield server


def sent(server: Server, head: str) -> tuple[str, str]:
    """Head and body of what comes back for bytes that no client library would send."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as sock:
        sock.sendall(f"{head}\r\nHost: box.lan\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = b""
        while piece := sock.recv(65_536):
            answer += piece
    first, _, rest = answer.decode("latin-1").partition("\r\n\r\n")
    return first, rest


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pyproject.toml",
        "/static/css/../../pyproject.toml",
        "/static/%2e%2e/pyproject.toml",
        "/static/..%2fpyproject.toml",
        "/static/..%5cpyproject.toml",
        "/static/%252e%252e/pyproject.toml",
        "/static/....//pyproject.toml",
        "/static//etc/passwd",
        "/static/css/%00.css",
        "/..%2f..%2fpyproject.toml",
        "/v1/models/../../pyproject.toml",
        "//evil.example/",
        "//evil.example/%2e%2e",
        "/%5cevil.example/",
        "/\\evil.example",
        "http://evil.example/",
        "//evil.example/v1/models/",
        "/login?next=//evil.example",
        "/login?next=https://evil.example",
        "/login?next=/%5cevil.example",
        "/login?next=/%09/evil.example",
        "/login?next=%0d%0aX-Evil:1",
    ],
)
def test_a_path_leads_to_no_file_and_to_no_other_site(server: Server, path: str) -> None:
    head, body = sent(server, f"GET {path} HTTP/1.1")
    assert "hatchling" not in body and "root:" not in body
    assert "\r\nx-evil" not in head.lower()
    assert " 500 " not in head
    found = re.search(r"(?im)^location: (.*?)\r?$", head)
    if found:
        there = urlsplit(found[1])
        assert there.netloc in ("", "box.lan"), found[1]
        assert there.scheme in ("", "http"), found[1]
        assert not found[1].startswith(("//", "/\\")), found[1]


@pytest.mark.parametrize("next", ["//evil.example", "/\\evil.example", "/\t/evil.example", "evil:"])
def test_logging_in_leads_to_no_other_site(server: Server, next: str) -> None:
    with requests.Session() as session:
        params = {"next": next}
        page = session.get(f"{server.url}/login", params=params, timeout=PATIENCE)
        found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert found is not None
        form = {"csrf_token": found[1], "name": "ada", "password": PASSWORD}
        answer = session.post(
            page.url, data=form, allow_redirects=False, timeout=PATIENCE, params=params
        )
    assert answer.status_code == 302
    assert urlsplit(answer.headers["Location"]).path == "/keys"
    assert urlsplit(answer.headers["Location"]).netloc in ("", f"127.0.0.1:{server.port}")


@pytest.mark.parametrize(
    "line",
    [
        "X-Request-Id: a\rX-Evil: 1",
        "X-Session-Id: a\nX-Evil: 1",
        "Origin: https://a.example\rX-Evil: 1",
        "Origin: https://a.example\x0bX-Evil: 1",
        "Access-Control-Request-Headers: a\x85X-Evil: 1",
        "Access-Control-Request-Headers: a, \x01X-Evil",
        "X-Evil\x00: 1",
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_header_of_a_request_makes_one_of_the_answer(
    server: Server, method: str, line: str
) -> None:
    head, _ = sent(server, f"{method} /v1/models HTTP/1.1\r\n{line}")
    assert " 500 " not in head
    assert not re.search(r"(?im)(^|[\r\x0b\x85\x01])x-evil", head)


def test_what_providers_say_makes_no_header(server: Server, fake: FakeProvider) -> None:
    error = {"message": ESCAPES, "type": "x\r\nX-Evil: 1", "code": "y\r\nX-Evil: 1"}
    fake.script = [status(400, {"error": error}), raw_body(ESCAPES.encode(), code=503)] * 3
    for _ in range(3):
        answer = ask(server, "lab/m")
        assert "X-Evil" not in answer.headers
        assert all(str(value).isprintable() for value in answer.headers.values())
        said = answer.json().get("error", {}).get("message", "")
        assert said.isprintable()
    fake.script = []


def test_a_log_line_is_ours(server: Server, fake: FakeProvider) -> None:
    error = {"error": {"message": ESCAPES, "code": ESCAPES}}
    fake.script = [status(500, error), status(429, error), says("x", model=ESCAPES)]
    for model in ("lab/m", "lab/m", "lab/m", ESCAPES, f"lab/{ESCAPES}"):
        ask(server, model, user=ESCAPES, session_id=ESCAPES)
    requests.get(
        f"{server.url}/v1/{FORGED}%0a%1b[2J", headers={"User-Agent": FORGED}, timeout=PATIENCE
    )
    server.cli("keys", "add", "groq", "--label", f"\x1b[2J{FORGED}", "--force", stdin="a" * 40)
    lines = server.log().split("\n")
    assert len(lines) > 5
    for line in filter(None, lines):
        assert line.isprintable(), ascii(line)
        assert RECORD.match(line), line
        assert not line.startswith(FORGED)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋"])
def test_a_spreadsheet_runs_nothing_of_the_export(server: Server, start: str) -> None:
    ask(server, f'{start}HYPERLINK("http://evil.example","x")')
    answer = server.get("/api/analytics/requests.csv?range=24h")
    assert answer.status_code == 200
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    cells = [cell for row in rows for cell in row]
    assert any("HYPERLINK" in cell for cell in cells)
    assert not [cell for cell in cells if cell[:1] in [*"=+-@\t\r\n＝＋－＠"]]


def ask(server: Server, model: str, **more: str) -> requests.Response:
    return requests.post(
        f"{server.url}/v1/chat/completions",
        headers=server.headers(),
        json={"model": model, "messages": HELLO, **more},
        timeout=PATIENCE,
    )
