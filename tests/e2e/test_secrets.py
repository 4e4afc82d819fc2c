"""After a busy day with failures of every kind, no secret stands anywhere but sealed."""

from __future__ import annotations

import base64
import itertools
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.e2e.browser import PASSWORD
from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import (
    FakeProvider,
    Reply,
    SeenRequest,
    errors_in_band,
    raw_body,
    says,
    status,
)

pytestmark = pytest.mark.e2e

GROQ = "gsk_" + "Zq7mT4xW" * 6
GOOGLE = "AIza" + "Sy9kLm3vRt5"[:11] * 3 + "ab"
MISTRAL = "p3XcVb8nMq1wEr5tYu7iOp2aSd4fGh6j"
LAB = "homely-secret-0f3k9d2m5q8r"
ENCRYPTION_KEY = "5e" * 8 + "c3a1" * 12
PROXY = "pr0xy-Passw0rt-7731"
SAVED_PROXY = "n0w-saved-Passw0rt-8842"
PAGES = (
    *("/keys", "/chain", "/playground", "/analytics", "/settings", "/login", "/settings/export"),
    *("/api/chain", "/api/analytics", "/api/analytics/requests.csv", "/api/palette", "/metrics"),
    *("/v1/models", "/v1/docs", "/v1/openapi.json", "/healthz", "/readyz", "/keys?import=1"),
)


@dataclass
class Day:
    """What was kept secret, and all that was said."""

    server: Server
    secrets: dict[str, str]
    told: dict[str, bytes] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)
    csrf: str = ""

    def note(self, response: requests.Response) -> requests.Response:
        """Keeps an answer, but for the cookies that are the browser's own."""
        head = "".join(f"{n}: {v}\n" for n, v in response.headers.items() if n != "Set-Cookie")
        name = f"{len(self.told)} {response.request.method} {response.request.path_url}"
        self.told[name] = head.encode() + response.content
        return response

    def get(self, path: str) -> requests.Response:
        response = self.note(self.session.get(self.server.url + path, timeout=PATIENCE))
        found = re.search(r'name="csrf[-_]token" (?:content|value)="([^"]+)"', response.text)
        self.csrf = found[1] if found else self.csrf
        return response

    def post(self, path: str, **fields: str) -> requests.Response:
        data = {"csrf_token": self.csrf, **fields}
        url = self.server.url + path
        return self.session.post(url, data=data, timeout=PATIENCE, allow_redirects=False)

    def send(self, path: str, **fields: object) -> requests.Response:
        headers = {"X-CSRFToken": self.csrf, "Accept": "application/json"}
        url = self.server.url + path
        return self.session.post(url, json=fields, headers=headers, timeout=PATIENCE)


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """Repeats the key of each request, in the body and the headers of every kind of failure."""
    turns = itertools.count()

    def choose(request: SeenRequest) -> Reply:
        key, turn = request.key, next(turns)
        message = {"error": {"message": f"The key {key} is no good", "code": key, "type": key}}
        replies: tuple[Reply, ...] = (
            status(500, message, X_Key=key, Retry_After="1"),
            errors_in_band(message, after=1),
            says("hello", system_fingerprint="fp"),
            raw_body(f"<html>{key}".encode(), "text/html", 502, X_Key=key),
            status(400, message, X_Key=key),
            raw_body(f'{{"detail": "{key}'.encode()),
            status(429, message, X_Key=key, Retry_After="1"),
        )
        if turn > 40 or request.method == "GET":
            return status(401, message, WWW_Authenticate=f"Bearer {key}")
        return replies[turn % len(replies)]

    with FakeProvider() as fake:
        fake.chooser = choose
        yield fake


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_told_or_written(tmp_path: Path, fake: FakeProvider, form: str) -> None:
    catalogued = ("GROQ", "GOOGLE", "MISTRAL")
    bases = {f"FREELLMAPI_{name}_BASE_URL": fake.base_url for name in catalogued}
    text = config({"lab": fake.base_url}, keys=[("lab", LAB)], max_wait=0, probe_interval=1)
    environ = {
        "ENCRYPTION_KEY": ENCRYPTION_KEY,
        "GROQ_API_KEY": GROQ,
        "HTTPS_PROXY": f"http://me:{PROXY}@127.0.0.1:9",
        "FREELLMAPI_LOG_LEVEL": "DEBUG",
        "FREELLMAPI_LOG_FORMAT": form,
        "DATABASE_URL": "",
        **bases,
    }
    with Server(tmp_path, text, **environ) as server:
        day = Day(server, {"groq": GROQ, "google": GOOGLE, "mistral": MISTRAL, "lab": LAB})
        day.secrets |= {"encryption": ENCRYPTION_KEY, "proxy": PROXY, "unified": server.token}
        _settle_in(day)
        _work(day)
        _look_around(day)
        _crash(day)
        copies = _back_up(day, tmp_path)
        shown = Day(server, day.secrets)
        shown.note(day.send("/api/keys/unified/reveal", password=PASSWORD))
        revealed = {what for _, what in _found(shown)}
        # Others hold a preference of one word.
        cookies = {f"cookie {c.name}": c.value or "" for c in day.session.cookies}
        day.secrets |= {name: value for name, value in cookies.items() if len(value) > 16}
        assert len(day.secrets) == 12, list(day.secrets)
        for file in [*copies, *(p for p in server.data.rglob("*") if p.is_file())]:
            day.told[str(file)] = file.read_bytes()
        day.told |= _processes()
        assert server.stop() == 0
        day.told["log"] = server.log_file.read_bytes()
    log = server.log()
    assert "Traceback" in log, "nothing has crashed"
    assert log.count("status=") > 10, "hardly anything was logged"
    assert {request.key for request in fake.requests} >= {GROQ, GOOGLE, MISTRAL, LAB}
    assert "\n".join(f"{what} in {where}" for where, what in _found(day)) == ""
    assert revealed == {"unified"}, "the search finds what is shown on purpose"


def _settle_in(day: Day) -> None:
    """An account, keys by every way in, a token."""
    server = day.server
    server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
    day.secrets["password"] = PASSWORD
    day.get("/login")
    assert day.post("/login", name="ada", password=PASSWORD + "?").status_code == 422
    assert day.post("/login", name="ada", password=PASSWORD).status_code == 302
    day.get("/keys")
    server.cli("keys", "add", "google", "--force", stdin=f"{GOOGLE}\n")
    added = day.note(day.send("/api/keys", key=MISTRAL, provider="mistral", force="1"))
    assert added.status_code == 200, added.text
    day.note(day.send("/api/keys", key=MISTRAL, provider="mistral", force="1"))
    made = day.send("/api/settings/tokens", name="laptop")
    day.secrets["client token"] = made.json()["token"]
    day.secrets["saved proxy"] = SAVED_PROXY
    way = f"http://me:{SAVED_PROXY}@127.0.0.1:9"
    day.note(day.send("/api/settings/proxy", https_proxy=f"{way}:", http_proxy=way))
    saved = day.note(day.send("/api/settings/proxy", https_proxy=way, http_proxy=way))
    assert saved.status_code == 200, saved.text
    server.until(lambda: "google" in server.cli("keys", "list"), "the key is stored")


def _work(day: Day) -> None:
    """Requests to each provider, whole and streamed, with both tokens and with wrong ones."""
    listed = day.server.get("/v1/models").json()["data"]
    chosen: dict[str, str] = {}
    for model in listed:
        if model["owned_by"] in ("groq", "google", "mistral", "lab"):
            chosen.setdefault(model["owned_by"], model["id"])
    assert len(chosen) == 4, chosen
    tokens = (day.server.token, day.secrets["client token"], day.server.token[:-1] + "x")
    for turn, (model_id, token) in enumerate(
        itertools.product([*chosen.values(), "auto", *chosen.values()], tokens)
    ):
        day.note(
            requests.post(
                f"{day.server.url}/v1/chat/completions",
                headers={"Authorization": f"Bearer {token}"},
                json={"model": model_id, "messages": HELLO, "stream": turn % 2 == 0},
                timeout=PATIENCE,
            )
        )


def _look_around(day: Day) -> None:
    """Every page, the checks of keys, and what the command line prints."""
    day.note(day.send("/api/keys/check"))
    for path in PAGES:
        response = day.get(path)
        assert response.status_code in (200, 302, 401, 503), path
        bearer = requests.get(day.server.url + path, headers=day.server.headers(), timeout=PATIENCE)
        day.note(bearer)
    refused = day.note(day.post("/settings/export", password="wrong horse"))
    assert refused.status_code in (403, 422)
    assert day.note(day.post("/settings/backup", password="wrong horse")).status_code == 403
    for words in (["keys", "list"], ["--json", "keys", "list"], ["doctor"], ["chain", "show"]):
        try:
            day.told[" ".join(words)] = day.server.cli(*words).encode()
        except AssertionError as failed:
            day.told[" ".join(words)] = str(failed).encode()


def _crash(day: Day) -> None:
    """A fault that nobody expects, while a password is being checked."""
    with closing(sqlite3.connect(day.server.data / "freellmapi.db")) as database:
        database.execute("ALTER TABLE accounts RENAME TO accounts_away")
        database.commit()
        guest = Day(day.server, day.secrets)
        crashed = day.note(day.session.get(f"{day.server.url}/settings", timeout=PATIENCE))
        guest.get("/login")
        day.note(guest.post("/login", name="ada", password=PASSWORD))
        database.execute("ALTER TABLE accounts_away RENAME TO accounts")
        database.commit()
    assert crashed.status_code == 500


def _back_up(day: Day, folder: Path) -> list[Path]:
    """A backup by the command line, and one by the page."""
    by_command, by_page = folder / "command.db", folder / "page.db"
    day.server.cli("backup", str(by_command))
    day.get("/settings")
    answer = day.post("/settings/backup", password=PASSWORD)
    assert answer.status_code == 200, answer.text[:500]
    by_page.write_bytes(answer.content)
    return [by_command, by_page]


def _processes() -> Mapping[str, bytes]:
    """What any user of this machine sees of each process."""
    found = {}
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[str(process)] = process.read_bytes()
        except OSError:
            continue
    assert any(b"gunicorn" in line for line in found.values())
    return found


def _found(day: Day) -> Iterator[tuple[str, str]]:
    for where, told in day.told.items():
        for what, secret in day.secrets.items():
            if any(form in told for form in _forms(secret)):
                yield where, what


def _forms(secret: str) -> Iterator[bytes]:
    """The secret but for its ends, which a mask may show; and in other guises."""
    yield (secret[5:-4] if len(secret) > 20 else secret).encode()
    yield quote(secret, safe="").encode()
    yield base64.b64encode(secret.encode())
    yield base64.urlsafe_b64encode(secret.encode())
    yield secret.encode().hex().encode()
    if re.fullmatch(r"[0-9a-f]{64}", secret):
        yield bytes.fromhex(secret)
